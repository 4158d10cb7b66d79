"""Campaigns at work: fed exactly once, paused, limited, stopped by failures, ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session as OrmSession

from control_plane.assistants import versions
from control_plane.campaigns import feeding
from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.db.models.session import Session
from control_plane.db.models.trunk import Trunk
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.campaign import CampaignStatus
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import AttemptResult, EndedBy
from control_plane.domain.transitions import (
    ConversationEnded,
    DialAnswered,
    DialFailed,
    DialStarted,
)
from control_plane.orders import lifecycle
from control_plane.orders.gatekeeper import Gatekeeper
from control_plane.sessions import leases
from control_plane.webhooks import outbox
from scheduler.campaigns import Feeder
from scheduler.claim import claim
from tests import call_rows, factories
from tests.campaigns.conftest import ALWAYS, NUMBERS, Desk

pytestmark = [pytest.mark.db, pytest.mark.engines]

ONE_TRY = {**ALWAYS, "max_retry_attempts": 1}
MANY = [f"+1{area}{exchange}{n:04}" for area in (202, 212) for exchange in (456, 457)
        for n in range(1000, 1400)]  # fmt: skip


class Crash(Exception):
    """The process dies here."""


@contextmanager
def crash_before_commit(number: int) -> Iterator[None]:
    """Let the transaction that is the `number`th to write rows end here, with all written."""
    left = number

    def hook(_session: OrmSession, _context: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash

    event.listen(OrmSession, "after_flush", hook)
    try:
        yield
    finally:
        event.remove(OrmSession, "after_flush", hook)


async def end(desk: Desk, order_id: str, sip_status: int | None = None) -> None:
    """Let the order's attempt be answered by a person, or fail with a SIP status."""
    async with desk.database.transaction() as session:
        [live] = await call_rows.find(
            session, Attempt.order_id == order_id, Session.closed_at.is_(None)
        )
        order, attempt = await leases.lock(session, live.id, epoch=None)
        now = await read_clock(session)
        await lifecycle.apply(session, order, attempt, DialStarted(at=now))
        if sip_status is not None:
            failed = DialFailed(at=now, kind=DialFailureKind.OUTCOME_UNKNOWN, sip_status=sip_status)
            await lifecycle.apply(session, order, attempt, failed)
            return
        await lifecycle.apply(session, order, attempt, DialAnswered(at=now))
        ended = ConversationEnded(
            at=now, ended_by=EndedBy.USER, end_reason=None, result=AttemptResult.HUMAN
        )
        await lifecycle.apply(session, order, attempt, ended)


async def claimed(desk: Desk) -> list[str]:
    """Return the orders that are claimed now."""
    return [attempt.order_id for attempt in await claim(desk.database, limit=20)]


async def test_every_row_becomes_one_order_though_feeders_die(desk: Desk) -> None:
    made = await desk.campaign(MANY, prompt_variables={"a": "1", "b": "2"}, metadata={"m": "1"})
    one = {"rows": [{"phone_number": NUMBERS[0], "prompt_variables": {"b": "3"},
                     "metadata": {"n": "2"}}]}  # fmt: skip
    await desk.ask("POST", f"/campaign/{made}/rows", one)
    await desk.ask("POST", f"/campaign/{made}/launch")
    for number in (1, 2):
        with crash_before_commit(number), pytest.raises(Crash):
            await Feeder(desk.database).check()
        assert (await desk.row(made)).fed_line == 500 * (number - 1)
    feeders = [Feeder(desk.database) for _ in range(3)]
    await asyncio.gather(*(feeder.check() for feeder in feeders))
    await desk.feeder.check()
    orders = await desk.orders(made)
    assert sorted(order.to_phone_number for order in orders) == sorted([*MANY, NUMBERS[0]])
    async with desk.database.reading() as session:
        linked = await session.scalars(
            select(CampaignRow.order_id).where(CampaignRow.campaign_id == made)
        )
        assert set(linked) == {order.id for order in orders}
    last = next(order for order in orders if order.to_phone_number == NUMBERS[0])
    assert last.prompt_variables == {"a": "1", "b": "3"}
    assert last.call_metadata == {"m": "1", "n": "2"}
    assert last.api_key_id is not None
    shown = (await desk.ask("GET", f"/call/{last.id}"))["call"]
    assert shown["campaign"] == {"id": made, "name": "C"}


async def test_the_assistant_is_that_of_the_launch(desk: Desk) -> None:
    assistant = await desk.assistant("One {{x}}.")
    made = await desk.campaign(NUMBERS[:2], assistant_id=assistant, prompt_variables={"x": "y"})
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.ask("PATCH", f"/assistant/{assistant}", {"prompt": "Two {{z}}."})
    await desk.ask("DELETE", f"/assistant/{assistant}", status=204)
    await desk.feeder.check()
    orders = await desk.orders(made)
    assert len(orders) == 2
    async with desk.database.reading() as session:
        version = await versions.get(session, orders[0].assistant_version_id)
    assert version.spec.prompt == "One {{x}}."


async def test_a_row_that_no_longer_fits_is_refused_with_its_reason(desk: Desk) -> None:
    assistant = await desk.assistant("Hi.")
    made = await desk.campaign(NUMBERS[:2], assistant_id=assistant)
    await desk.ask("PATCH", f"/assistant/{assistant}", {"prompt": "Hi {{name}}."})
    told = await desk.ask("GET", f"/campaign/{made}/dry-run")
    assert [(each["rule"], each["count"]) for each in told["never"]] == [("missing_variable", 2)]
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.feeder.check()
    rows = (await desk.ask("GET", f"/campaign/{made}/rows?status=refused"))["rows"]
    assert all("{{name}}" in row["error"] for row in rows)
    assert len(rows) == 2
    assert (await desk.get(made))["status"] == "completed"


async def test_callers_come_from_the_pool_and_stay(desk: Desk) -> None:
    pool = ["+12025550190", "+12125550191", "+12125550192"]
    async with desk.database.transaction() as session:
        trunk = (await session.scalars(select(Trunk).where(Trunk.direction == "outbound"))).one()
        trunk.numbers = [*trunk.numbers, *pool]
    numbers = [*NUMBERS[:5], *(f"+1212555{n:04}" for n in range(100, 120)), "+14155550123"]
    made = await desk.launched(numbers, from_phone_numbers=pool)
    shown = {order.to_phone_number: order.from_phone_number for order in await desk.orders(made)}
    assert {shown[number] for number in numbers[:5]} == {pool[0]}
    assert {shown[number] for number in numbers[5:25]} == set(pool[1:])
    assert shown["+14155550123"] in pool
    again = await desk.launched(numbers, from_phone_numbers=pool)
    assert {o.to_phone_number: o.from_phone_number for o in await desk.orders(again)} == shown
    third = await desk.campaign(NUMBERS[:1], from_phone_numbers=pool[:1])
    await desk.ask("POST", f"/campaign/{third}/launch")
    async with desk.database.transaction() as session:
        trunk = (await session.scalars(select(Trunk).where(Trunk.direction == "outbound"))).one()
        trunk.numbers = [number for number in trunk.numbers if number not in pool]
    await desk.feeder.check()
    stopped = await desk.get(third)
    assert (stopped["status"], await desk.orders(third)) == ("paused", [])
    assert "from_phone_numbers" in stopped["status_reason"]


async def test_a_pause_holds_and_a_resume_lets_go(desk: Desk) -> None:
    made = await desk.launched(NUMBERS[:5])
    await desk.ask("POST", f"/campaign/{made}/pause")
    assert await claimed(desk) == []
    held = await desk.orders(made)
    assert {(order.waiting_rule, order.due_at) for order in held} == {("campaign_paused", None)}
    await desk.feeder.check()
    assert await claimed(desk) == []
    assert [order.event_count for order in await desk.orders(made)] == [2] * 5
    await desk.ask("POST", f"/campaign/{made}/resume")
    await Feeder(desk.database).check()  # another process, which knows nothing
    assert len(await claimed(desk)) == 5


async def test_a_paused_campaign_is_not_fed(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:5])
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.ask("POST", f"/campaign/{made}/pause")
    await desk.feeder.check()
    assert await desk.orders(made) == []
    await desk.ask("POST", f"/campaign/{made}/resume")
    await desk.feeder.check()
    assert len(await desk.orders(made)) == 5


async def test_a_suspended_organizations_campaign_stands_still_and_goes_on(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:5])
    await desk.ask("POST", f"/campaign/{made}/launch")
    path = f"/organizations/{await desk.office.owner()}"
    await desk.ask("POST", f"{path}/suspend")
    await desk.feeder.check()
    assert await desk.orders(made) == []
    rows = (await desk.ask("GET", f"/campaign/{made}/rows?status=waiting"))["rows"]
    assert len(rows) == 5  # and none was refused for it
    assert (await desk.ask("GET", f"/campaign/{made}/dry-run"))["never"] == []
    assert (await desk.get(made))["status"] == "running"
    await desk.ask("POST", f"{path}/resume")
    await desk.feeder.check()
    assert len(await claimed(desk)) == 5


async def test_a_suspension_overtakes_no_feeding(desk: Desk) -> None:
    """Told of in the middle of a look, it makes no row an order, nor refuses one for good."""
    made = await desk.campaign(NUMBERS[:5])
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.ask("POST", f"/organizations/{await desk.office.owner()}/suspend")
    async with desk.database.transaction() as session:
        campaign = await session.get_one(Campaign, made)
        assert not await feeding.feed(session, campaign, now=await read_clock(session))
    assert (await desk.row(made)).fed_line == 0


async def test_a_cancel_ends_what_waits_and_asks_what_is_live_to_end(desk: Desk) -> None:
    made = await desk.launched(NUMBERS[:5])
    [live] = [attempt.order_id for attempt in await claim(desk.database, limit=1)]
    await desk.ask("POST", f"/campaign/{made}/cancel", status=202)
    assert await claimed(desk) == []  # before the scheduler has cancelled a single one
    async with desk.database.transaction() as session:
        order = await session.get_one(CallOrder, live)
        keeper = Gatekeeper(session, await read_clock(session))
        await keeper.prepare([order])
        assert type(await keeper.decide(order)).__name__ == "Wait"
    await desk.feeder.check()
    statuses = {order.id: order.status for order in await desk.orders(made)}
    assert statuses.pop(live) is OrderStatus.CALLING
    assert set(statuses.values()) == {OrderStatus.CANCELLED}
    assert (await desk.row(made)).ended_at is None
    await end(desk, live, 487)
    await desk.feeder.check()
    assert (await desk.row(made)).ended_at is not None
    assert (await desk.get(made))["status"] == "cancelled"


async def test_a_campaign_ends_with_its_last_order_and_reports(desk: Desk) -> None:
    hook = {"url": "https://example.com/hook", "event_types": ["campaign.*"]}
    await desk.ask("POST", "/webhook", hook, status=201)
    made = await desk.launched(
        [*NUMBERS[:4], "+4930123456"], call_retry_config=ONE_TRY, metadata={"a": "b"}
    )
    orders = await claimed(desk)
    await desk.feeder.check()
    assert (await desk.get(made))["status"] == "running"
    await end(desk, orders[0])
    await end(desk, orders[1], 486)
    await end(desk, orders[2], 404)
    await desk.ask("POST", f"/call/{orders[3]}/cancel", status=202)
    await end(desk, orders[3], 487)
    await desk.feeder.check()
    shown = await desk.get(made)
    assert shown["status"] == "completed"
    assert shown["ended_at"] is not None
    told = await desk.ask("GET", f"/campaign/{made}/report")
    assert told["orders"] == {"completed": 2, "errored": 1, "cancelled": 1}
    assert (told["rows"], told["refused"], told["waiting"]) == (5, 1, 0)
    assert (told["attempts"], told["answered"], told["human"]) == (4, 1, 1)
    assert told["dial_errors"] == {"busy": 1, "number_non_attributed": 1}
    assert told["first_attempt_at"] <= told["last_attempt_at"]
    events = (await desk.ask("GET", "/webhook/events?types=campaign.*"))["events"]
    assert [e["type"] for e in events] == ["campaign.launched", "campaign.completed"]
    async with desk.database.transaction() as session:  # receivers are told of it too
        now = await read_clock(session)
        views = factories.views()
        assert await outbox.relay(session, desk.office.vault, views, now=now, limit=500) > 5
    ended, _launched = (await desk.ask("GET", "/delivery"))["deliveries"]
    assert (ended["event_type"], ended["call_id"]) == ("campaign.completed", None)
    whole = (await desk.ask("GET", f"/delivery/{ended['id']}"))["payload"]
    assert json.loads(whole)["data"] == {
        "campaign_id": made,
        "name": "C",
        "status": "completed",
        "reason": None,
        "rows": 5,
        "metadata": {"a": "b"},
    }


async def test_a_limit_is_kept_and_can_be_changed_on_the_way(desk: Desk) -> None:
    made = await desk.launched(NUMBERS[:6], max_concurrent_calls=2)
    live = await claimed(desk)
    assert len(live) == 2
    assert await claimed(desk) == []
    await desk.ask("PATCH", f"/campaign/{made}", {"max_concurrent_calls": 4})
    await desk.feeder.check()
    assert len(await claimed(desk)) == 2
    assert {order.concurrency_max for order in await desk.orders(made)} == {4}
    await desk.ask("PATCH", f"/campaign/{made}", {"max_concurrent_calls": None})
    await desk.feeder.check()
    assert len(await claimed(desk)) == 2
    free = await desk.launched(NUMBERS[:3])
    await desk.ask("PATCH", f"/campaign/{free}", {"max_concurrent_calls": 1})
    await desk.feeder.check()
    assert len(await claimed(desk)) == 1


async def test_too_many_failures_pause_and_a_resume_counts_anew(desk: Desk) -> None:
    made = await desk.launched(
        NUMBERS[:12], call_retry_config=ONE_TRY, max_failure_rate=0.5, failure_sample=4
    )
    orders = await claimed(desk)
    for order_id, status in zip(orders[:5], (404, 486, 404, None, None), strict=True):
        await end(desk, order_id, status)
        await desk.feeder.check()
        assert (await desk.get(made))["status"] == "running"
    await end(desk, orders[5], 404)
    await end(desk, orders[6], 404)
    await end(desk, orders[7], 404)
    await desk.feeder.check()
    stopped = await desk.get(made)
    assert stopped["status"] == "paused"
    assert stopped["status_reason"].startswith("3 of the last 4 orders failed")
    resumed = (await desk.ask("POST", f"/campaign/{made}/resume"))["campaign"]
    assert resumed["status_reason"] is None
    await desk.feeder.check()
    assert (await desk.get(made))["status"] == "running"
    for order_id in orders[8:]:
        await end(desk, order_id, 404)
    await desk.feeder.check()
    assert (await desk.get(made))["status"] == "paused"


async def test_without_a_trunk_nothing_is_refused(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:2])
    await desk.ask("POST", f"/campaign/{made}/launch")
    async with desk.database.transaction() as session:
        now = await read_clock(session)
        await session.execute(update(Trunk).values(deleted_at=now))
    await desk.feeder.check()
    assert (await desk.row(made)).status is CampaignStatus.PAUSED
    async with desk.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(CallOrder)) == 0
