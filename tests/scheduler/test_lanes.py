"""Lanes: each trunk's pace, limits, faults and stops; concurrency keys; the last gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from control_plane.compliance.entries import never_call
from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.compliance import DoNotCall, KeyUsage
from control_plane.db.models.organization import Organization
from control_plane.db.models.session import Leg, Session
from control_plane.db.models.trunk import Purpose, Trunk, TrunkPace
from control_plane.domain.brief import Direction, DispatchMetadata
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.events import AttemptResult, CallEnded, EndedBy
from control_plane.domain.ids import new_id
from control_plane.domain.order_request import ConcurrencyLimit
from control_plane.domain.pace import OPEN_FOR
from control_plane.keys.making import make_key
from control_plane.orders.explain import explain
from control_plane.orders.service import cancel, pause, resume
from control_plane.trunks import pace
from scheduler.cancel import Canceller
from scheduler.claim import claim, next_look
from scheduler.expire import Expirer
from sip.ports import DialFailure, DialFailureKind
from tests import call_rows, factories
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report

pytestmark = [pytest.mark.db, pytest.mark.engines]

K = DialFailureKind
BUSY = DialFailure(kind=K.BAD_REQUEST, sip_status=486)
OVERLOADED = DialFailure(kind=K.BAD_REQUEST, sip_status=503, sip_reason="slow down")


async def place(desk: Desk, number: str = factories.NUMBER, **fields: Any) -> CallOrder:
    return await factories.order(desk.database, desk.vault, desk.owner, number=number, **fields)


async def go(desk: Desk) -> None:
    """Dispatch what can go now, and wait for its results."""
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)


async def now(desk: Desk, order: CallOrder) -> CallOrder:
    return await factories.reload_order(desk.database, order.id)


async def trunk_of(desk: Desk, owner: str | None = None) -> Trunk:
    async with desk.database.reading() as session:
        found = await session.scalars(
            select(Trunk).where(Trunk.organization_id == (owner or desk.owner))
        )
        return found.one()


async def set_trunk(desk: Desk, **values: Any) -> None:
    async with desk.database.transaction() as session:
        await session.execute(
            update(Trunk).where(Trunk.organization_id == desk.owner).values(**values)
        )


async def pace_of(desk: Desk) -> TrunkPace:
    trunk = await trunk_of(desk)
    async with desk.database.reading() as session:
        return await session.get_one(TrunkPace, trunk.id)


async def rested(desk: Desk) -> None:
    """Let the trunk's rest be over."""
    async with desk.database.transaction() as session:
        await session.execute(update(TrunkPace).values(blocked_until=factories.ago(seconds=1)))


async def hang_up(desk: Desk, order: CallOrder) -> None:
    """End the order's live call as its agent does."""
    async with desk.database.reading() as session:
        [attempt] = await call_rows.find(
            session, Attempt.order_id == order.id, Session.closed_at.is_(None)
        )
    ended = CallEnded(
        seq=2, at=0.0, ended_by=EndedBy.USER, end_reason=None, result=AttemptResult.HUMAN
    )
    await report(desk.database, attempt.id, attempt.epoch, ended)


async def test_a_trunk_in_trouble_rests_and_burns_no_attempt(desk: Desk) -> None:
    desk.sip.answer = OVERLOADED
    first, second = await place(desk), await place(desk)
    await go(desk)
    assert len(desk.sip.dialled) == 2  # both were on their way
    for order in (first, second):
        stored = await now(desk, order)
        assert (stored.status, stored.calls_count) == (OrderStatus.QUEUED_FOR_CALLING, 0)
        assert stored.waiting_rule == "trunk_backing_off"
    state = await pace_of(desk)
    assert (state.failures_in_a_row, state.recent) == (2, "xx")
    await go(desk)
    assert len(desk.sip.dialled) == 2  # the lane is closed
    async with desk.database.reading() as session:
        at = await read_clock(session)
        look = await next_look(session, at)
    assert state.blocked_until == look
    assert timedelta(seconds=8) < state.blocked_until - at <= timedelta(seconds=10)


async def test_a_probe_goes_first_and_opens_the_lane(desk: Desk) -> None:
    desk.sip.answer = OVERLOADED
    orders = [await place(desk) for _ in range(4)]
    await go(desk)
    assert len(desk.sip.dialled) == 4
    await rested(desk)
    desk.sip.hold = asyncio.Event()
    desk.sip.ringing.clear()
    desk.sip.answer = BUSY
    await desk.dispatcher.dispatch_due()
    await desk.sip.ringing.wait()
    assert await claim(desk.database, limit=10) == []  # one probe, until it is answered
    assert len(desk.sip.dialled) == 5
    desk.sip.hold.set()
    await desk.dispatcher.finish(10)
    await go(desk)
    assert len(desk.sip.dialled) == 8
    assert [(await now(desk, order)).calls_count for order in orders] == [1] * 4


async def test_five_failures_in_ten_open_the_breaker(desk: Desk) -> None:
    await place(desk)
    desk.sip.answer = OVERLOADED
    for _ in range(5):
        await go(desk)
        await rested(desk)
    before = await pace_of(desk)
    assert before.recent == "xxxxx"
    await go(desk)
    state = await pace_of(desk)
    async with desk.database.reading() as session:
        at = await read_clock(session)
    assert state.blocked_rule == "trunk_breaker"
    assert state.blocked_until is not None
    assert state.blocked_until - at > OPEN_FOR


async def test_one_trunks_trouble_costs_another_nothing(desk: Desk) -> None:
    other = await factories.organization(desk.database)
    desk.sip.answer = OVERLOADED
    await place(desk)
    await go(desk)
    theirs = await factories.order(desk.database, desk.vault, other)
    for _ in range(3):
        await place(desk)
    desk.sip.answer = BUSY
    await go(desk)
    assert (await now(desk, theirs)).calls_count == 1
    assert len(desk.sip.dialled) == 2


async def test_refused_credentials_stop_the_trunk_until_it_is_resumed(desk: Desk) -> None:
    desk.sip.answer = DialFailure(kind=K.AUTHENTICATION, sip_reason="wrong password")
    order = await place(desk)
    await go(desk)
    stored, state = await now(desk, order), await pace_of(desk)
    assert (stored.status, stored.waiting_rule) == (
        OrderStatus.QUEUED_FOR_CALLING,
        "trunk_stopped",
    )
    assert state.stopped_at is not None
    await go(desk)
    assert len(desk.sip.dialled) == 1
    desk.sip.answer = BUSY
    async with desk.database.transaction() as session:
        await pace.resume(session, state.trunk_id, await read_clock(session))
    await go(desk)
    assert (await now(desk, order)).calls_count == 1


async def test_a_forbidden_country_stops_there_only(desk: Desk) -> None:
    await set_owner(desk, allowed_countries=["US", "DE"])
    german = await place(desk, "+493012345678")
    desk.sip.answer = DialFailure(kind=K.BAD_REQUEST, sip_status=403, sip_reason="no")
    await go(desk)
    stored = await now(desk, german)
    assert (stored.waiting_rule, stored.due_at) == ("destination_stopped", None)
    second = await place(desk, "+493012345679")
    american = await place(desk)
    desk.sip.answer = BUSY
    await go(desk)
    assert (await now(desk, second)).waiting_rule == "destination_stopped"
    assert (await now(desk, american)).calls_count == 1
    assert len(desk.sip.dialled) == 2
    trunk = await trunk_of(desk)
    async with desk.database.transaction() as session:
        await pace.resume(session, trunk.id, await read_clock(session))
    await go(desk)
    assert [(await now(desk, order)).calls_count for order in (german, second)] == [1, 1]


async def set_owner(desk: Desk, **values: Any) -> None:
    async with desk.database.transaction() as session:
        await session.execute(
            update(Organization).where(Organization.id == desk.owner).values(**values)
        )


async def test_a_trunk_carries_no_more_calls_than_it_may(desk: Desk) -> None:
    await set_trunk(desk, max_concurrent_calls=2)
    orders = [await place(desk) for _ in range(3)]
    await go(desk)
    assert len(desk.sip.dialled) == 2
    live = [o for o in orders if (await now(desk, o)).status is OrderStatus.CALLING]
    await hang_up(desk, live[0])
    await go(desk)
    assert len(desk.sip.dialled) == 3


async def test_invites_leave_at_the_trunks_pace(desk: Desk) -> None:
    await set_trunk(desk, calls_per_second=3.0)
    for _ in range(6):
        await place(desk)
    desk.sip.answer = BUSY
    while len(desk.sip.dialled) < 6:
        await go(desk)
    async with desk.database.reading() as session:
        times = sorted((await session.scalars(select(Leg.dialing_at))).all())
    assert len(times) == 6
    for first, last in zip(times, times[3:], strict=False):  # any four of them
        assert last - first >= timedelta(seconds=1)


@pytest.mark.parametrize("maximum", [1, 2])
async def test_a_concurrency_key_is_kept(desk: Desk, maximum: int) -> None:
    key = ConcurrencyLimit("clinic", maximum)
    orders = [await place(desk, concurrency=key) for _ in range(4)]
    await go(desk)
    assert len(desk.sip.dialled) == maximum
    waiting = [o for o in orders if (await now(desk, o)).status is not OrderStatus.CALLING]
    for order in waiting:
        stored = await now(desk, order)
        assert (stored.waiting_rule, stored.due_at) == ("concurrency", None)
    for _ in waiting:
        live = [o for o in orders if (await now(desk, o)).status is OrderStatus.CALLING]
        await hang_up(desk, live[0])
        await go(desk)
    assert len(desk.sip.dialled) == 4


async def test_each_order_is_judged_by_its_own_maximum(desk: Desk) -> None:
    first = await place(desk, concurrency=ConcurrencyLimit("k", 2))
    await go(desk)
    strict = await place(desk, concurrency=ConcurrencyLimit("k", 1))
    loose = await place(desk, concurrency=ConcurrencyLimit("k", 2))
    await go(desk)
    assert (await now(desk, strict)).waiting_rule == "concurrency"
    assert (await now(desk, loose)).status is OrderStatus.CALLING
    await hang_up(desk, first)
    await go(desk)
    assert (await now(desk, strict)).waiting_rule == "concurrency"
    await hang_up(desk, loose)
    await go(desk)
    assert (await now(desk, strict)).status is OrderStatus.CALLING


async def test_a_slot_nobody_was_told_of_is_filled(desk: Desk) -> None:
    first = await place(desk, concurrency=ConcurrencyLimit("k", 1))
    await go(desk)
    second = await place(desk, concurrency=ConcurrencyLimit("k", 1))
    await go(desk)
    async with desk.database.transaction() as session:  # a release that was lost
        await session.execute(
            update(CallOrder)
            .where(CallOrder.id == first.id)
            .values(status=OrderStatus.COMPLETED, deadline_at=None)
        )
    await Expirer(desk.database).fill_slots()
    await go(desk)
    assert (await now(desk, second)).status is OrderStatus.CALLING


Change = Callable[[Desk, CallOrder], Any]


async def _cancel(desk: Desk, order: CallOrder) -> None:
    await cancel(desk.database, desk.owner, order.id)


async def _pause(desk: Desk, order: CallOrder) -> None:
    await pause(desk.database, desk.owner, order.id)


async def _forbid(desk: Desk, order: CallOrder) -> None:
    async with desk.database.transaction() as session:
        await never_call(
            session,
            desk.owner,
            order.to_phone_number,
            reason=None,
            source="api",
            now=factories.ago(),
        )


@pytest.mark.parametrize(
    ("change", "status", "rule"),
    [
        (_cancel, OrderStatus.CANCELLED, "cancelled"),
        (_pause, OrderStatus.SCHEDULED, "paused"),
        (_forbid, OrderStatus.ERRORED, "do_not_call"),
    ],
)
async def test_what_changes_while_the_agent_gets_ready_stops_the_dial(
    desk: Desk, change: Change, status: OrderStatus, rule: str
) -> None:
    order = await place(desk)
    ready = desk.rooms.agent
    assert ready is not None

    async def change_first(metadata: DispatchMetadata) -> None:
        await change(desk, order)
        await ready(metadata)

    desk.rooms.agent = change_first
    await go(desk)
    stored = await now(desk, order)
    assert desk.sip.dialled == []
    assert (stored.status, stored.calls_count) == (status, 0)
    async with desk.database.reading() as session:
        [attempt] = await call_rows.find(session)
    assert (attempt.end_reason, attempt.counted) == (rule, False)
    if change is _pause:
        await resume(desk.database, desk.owner, order.id)
        desk.rooms.agent = ready
        await go(desk)
        assert len(desk.sip.dialled) == 1


async def test_a_type_that_is_allowed_no_more_is_not_dialled(desk: Desk) -> None:
    await set_owner(desk, allowed_number_types=["premium_rate"], default_timezone="UTC")
    order = await place(desk, "+19002345678")
    await set_owner(desk, allowed_number_types=[])
    await go(desk)
    stored = await now(desk, order)
    assert (desk.sip.dialled, stored.status) == ([], OrderStatus.ERRORED)
    async with desk.database.reading() as session:
        told = (await explain(session, stored)).decisions[-1]
    assert told.rule == "number_type"


async def test_an_unwanted_call_puts_the_number_on_the_list(desk: Desk) -> None:
    desk.sip.answer = DialFailure(kind=K.BAD_REQUEST, sip_status=607, sip_reason="Unwanted")
    first = await place(desk)
    second = await place(desk)
    await set_trunk(desk, max_concurrent_calls=1)
    await go(desk)
    await go(desk)
    assert len(desk.sip.dialled) == 1
    async with desk.database.reading() as session:
        entry = (await session.scalars(select(DoNotCall))).one()
    assert (entry.phone_number, entry.source) == (factories.NUMBER, "sip_607")
    ends = {(await now(desk, order)).status for order in (first, second)}
    assert ends == {OrderStatus.COMPLETED, OrderStatus.ERRORED}


async def test_a_waiting_order_expires(desk: Desk) -> None:
    order = await place(desk)
    await pause(desk.database, desk.owner, order.id)
    async with desk.database.transaction() as session:
        await session.execute(update(CallOrder).values(deadline_at=factories.ago(seconds=1)))
    await Expirer(desk.database).expire()
    stored = await now(desk, order)
    assert (stored.status, stored.deadline_at) == (OrderStatus.ERRORED, None)


async def test_a_recipients_daily_attempts_are_capped(desk: Desk) -> None:
    await set_owner(desk, attempts_per_day=1)
    desk.sip.answer = BUSY
    await place(desk)
    await go(desk)
    second = await place(desk)
    await go(desk)
    stored = await now(desk, second)
    assert (stored.waiting_rule, len(desk.sip.dialled)) == ("attempt_cap", 1)
    assert stored.due_at is not None
    assert stored.due_at > factories.ago()


async def test_a_key_spends_no_more_than_its_day_allows(desk: Desk) -> None:

    key, _whole = make_key(desk.owner, name="k", scopes=["calls"], now=factories.ago())
    key.calls_per_day = 1
    async with desk.database.transaction() as session:
        session.add(key)
    orders = [await place(desk), await place(desk)]
    await set_trunk(desk, max_concurrent_calls=1, price_per_minute=0.6)
    async with desk.database.transaction() as session:
        await session.execute(update(CallOrder).values(api_key_id=key.id))
    await go(desk)
    [live] = [o for o in orders if (await now(desk, o)).status is OrderStatus.CALLING]
    await hang_up(desk, live)
    await go(desk)
    assert len(desk.sip.dialled) == 1
    other = next(o for o in orders if o.id != live.id)
    assert (await now(desk, other)).waiting_rule == "spend_cap"
    async with desk.database.reading() as session:
        usage = (await session.scalars(select(KeyUsage))).one()
    assert usage.calls == 1
    assert usage.seconds > 0
    assert usage.spend == pytest.approx(usage.seconds / 60 * 0.6)


async def test_an_order_follows_its_number_to_another_trunk(desk: Desk) -> None:
    order = await place(desk)
    async with desk.database.transaction() as session:
        old = (await session.scalars(select(Trunk))).one()
        at = factories.ago()
        old.is_default, old.purpose, old.deleted_at = False, None, at
        await session.flush()
        session.add(
            Trunk(
                id=new_id(), organization_id=desk.owner, direction="outbound",
                purpose=Purpose.SIMULATOR, name="other", address="127.0.0.1:5090",
                transport="udp", numbers=["+12025550188"],
                allowed_addresses=[], is_default=True, sip_trunk_id="ST_2",
                calls_per_second=100.0, created_at=at, updated_at=at,
            )
        )  # fmt: skip
    await go(desk)
    await go(desk)
    [request] = desk.sip.dialled
    assert (request.sip_trunk_id, request.from_number) == ("ST_2", "+12025550188")
    assert (await now(desk, order)).status is OrderStatus.CALLING


async def test_a_room_that_a_late_dial_made_anew_is_closed_again(desk: Desk) -> None:
    desk.sip.hold = asyncio.Event()
    order = await place(desk)
    await desk.dispatcher.dispatch_due()
    await desk.sip.ringing.wait()
    await cancel(desk.database, desk.owner, order.id)
    canceller = Canceller(desk.database, desk.rooms)
    for _ in range(2):
        await canceller.end_cancelled()
    assert desk.journal.count("room closed") == 1
    desk.sip.hold.set()  # answered all the same
    await desk.dispatcher.finish(10)
    await canceller.end_cancelled()
    assert desk.journal.count("room closed") == 2
    assert (await now(desk, order)).status is OrderStatus.CANCELLED


async def test_what_was_added_a_moment_before_an_order_counts(desk: Desk) -> None:
    await place(desk)
    await go(desk)  # what the organization calls with has been read
    added, at = "+12025550188", await clock(desk)
    async with desk.database.transaction() as session:
        session.add(
            Trunk(
                id=new_id(),
                organization_id=desk.owner,
                direction=Direction.OUTBOUND,
                name="another",
                address="127.0.0.1:5091",
                transport="udp",
                numbers=[added],
                allowed_addresses=[],
                sip_trunk_id="ST_2",
                calls_per_second=1_000.0,
                max_concurrent_calls=100,
                created_at=at,
                updated_at=at,
            )
        )
        owner = await session.get_one(Organization, desk.owner)
        owner.allowed_countries = ["US", "GB"]
    from_it = await place(desk, from_phone_number=added)
    abroad = await place(desk, "+442079460018")
    await go(desk)
    dials = sorted((each.sip_trunk_id, each.to_number) for each in desk.sip.dialled)
    assert dials == [
        ("ST_1", factories.NUMBER),
        ("ST_1", "+442079460018"),
        ("ST_2", factories.NUMBER),
    ]
    for order in (from_it, abroad):
        assert (await now(desk, order)).status is not OrderStatus.ERRORED


async def clock(desk: Desk) -> datetime:
    async with desk.database.reading() as session:
        return await read_clock(session)


async def test_a_fictitious_number_whose_simulator_went_is_not_dialled_elsewhere(
    desk: Desk,
) -> None:
    order = await place(desk)
    at = await clock(desk)
    async with desk.database.transaction() as session:
        old = (await session.scalars(select(Trunk))).one()
        session.add(
            Trunk(
                id=new_id(), organization_id=desk.owner, direction="outbound", name="real",
                address="192.0.2.1", transport="udp", numbers=["+12125552368"],
                allowed_addresses=[], is_default=True, sip_trunk_id="ST_2",
                calls_per_second=100.0, created_at=at, updated_at=at,
            )
        )  # fmt: skip
        old.is_default, old.deleted_at = False, at
    await go(desk)
    assert desk.sip.dialled == []
    ended = await now(desk, order)
    assert ended.status is OrderStatus.ERRORED
    async with desk.database.reading() as session:
        [attempt] = await call_rows.find(session)
    assert "reserved for fiction" in (attempt.sip_reason or "")
