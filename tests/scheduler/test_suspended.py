"""A suspended organization: nothing is dialled, nothing comes in, and a resumption lets all go."""

from __future__ import annotations

import pytest

from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.organization import Organization
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction, DispatchMetadata
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.gate import Rule
from control_plane.organizations import suspension
from scheduler.claim import claim
from scheduler.resume import Resumer
from tests import call_rows, factories
from tests.scheduler.conftest import Desk
from tests.scheduler.test_trunks import add_inbound, trunks

pytestmark = pytest.mark.db


async def suspend(desk: Desk, *, suspended: bool = True, owner: str = "") -> None:
    async with desk.database.transaction() as session:
        row = await session.get_one(Organization, owner or desk.owner)
        row.suspended_at = await read_clock(session) if suspended else None


async def test_its_orders_wait_and_are_due_once_it_is_resumed(desk: Desk) -> None:
    orders = [await factories.order(desk.database, desk.vault, desk.owner) for _ in range(3)]
    other = await factories.organization(desk.database)
    others = await factories.order(desk.database, desk.vault, other)
    await suspend(desk)
    assert [each.order_id for each in await claim(desk.database, limit=10)] == [others.id]
    await Resumer(desk.database).release()
    assert await claim(desk.database, limit=10) == []
    for order in orders:
        held = await factories.reload_order(desk.database, order.id)
        rule = Rule.ORGANIZATION_SUSPENDED
        assert (held.status, held.waiting_rule, held.due_at) == (OrderStatus.SCHEDULED, rule, None)
    await suspend(desk, suspended=False)
    await Resumer(desk.database).release()
    claimed = {each.order_id for each in await claim(desk.database, limit=10)}
    assert claimed == {order.id for order in orders}


async def test_many_orders_are_let_go_a_piece_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspension, "_AT_ONCE", 2)
    for _ in range(5):
        await factories.order(desk.database, desk.vault, desk.owner)
    await suspend(desk)
    assert await claim(desk.database, limit=10) == []
    await suspend(desk, suspended=False)
    async with desk.database.transaction() as session:
        now = await read_clock(session)
        assert await suspension.release_some(session, desk.owner, now=now) == 2
    await Resumer(desk.database).release()  # another process, which knows nothing
    assert len(await claim(desk.database, limit=10)) == 5


async def test_the_last_gate_reads_it_afresh(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    agent = desk.rooms.agent
    assert agent is not None

    async def ready(metadata: DispatchMetadata) -> None:
        await agent(metadata)
        await suspend(desk)  # the claim has read the organization a moment ago

    desk.rooms.agent = ready
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(5.0)
    assert desk.sip.dialled == []
    held = await factories.reload_order(desk.database, order.id)
    assert (held.status, held.waiting_rule) == (
        OrderStatus.SCHEDULED,
        Rule.ORGANIZATION_SUSPENDED,
    )
    assert (held.due_at, held.calls_count) == (None, 0)


async def test_a_live_call_ends_as_it_is(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(5.0)
    await suspend(desk)
    await desk.keeper.apply(check_all=True)
    await desk.dispatcher.dispatch_due()
    async with desk.database.reading() as session:
        [attempt] = await call_rows.find(session, Attempt.order_id == order.id)
    assert (attempt.status, attempt.closed_at) == (AttemptStatus.ONGOING, None)
    live = await factories.reload_order(desk.database, order.id)
    assert (live.status, live.cancel_requested_at) == (OrderStatus.CALLING, None)


async def test_its_inbound_trunks_are_taken_away_and_come_back(desk: Desk) -> None:
    await add_inbound(desk)
    await desk.keeper.apply()
    assert len(desk.sip.kept) == 3
    await suspend(desk)
    for check_all in (False, False, True):
        await desk.keeper.apply(check_all=check_all)
        kinds = [type(thing).__name__ for thing in desk.sip.kept.values()]
        assert kinds == ["OutboundTrunk"]
        row = (await trunks(desk))[Direction.INBOUND]
        assert (row.sip_trunk_id, row.sip_rule_id) == (None, None)
        assert "suspended" in (row.apply_error or "")
    await suspend(desk, suspended=False)
    await desk.keeper.apply()
    assert len(desk.sip.kept) == 3
    row = (await trunks(desk))[Direction.INBOUND]
    assert (row.sip_trunk_id in desk.sip.kept, row.apply_error) == (True, None)


async def test_a_trunk_added_meanwhile_waits_too(desk: Desk) -> None:
    await suspend(desk)
    await add_inbound(desk)
    await desk.keeper.apply()
    assert [type(thing).__name__ for thing in desk.sip.kept.values()] == ["OutboundTrunk"]
    assert "suspended" in ((await trunks(desk))[Direction.INBOUND].apply_error or "")


async def test_a_suspended_trunk_that_is_deleted_is_gone(desk: Desk) -> None:
    await add_inbound(desk)
    await desk.keeper.apply()
    await suspend(desk)
    async with desk.database.transaction() as session:
        for row in (await trunks(desk)).values():
            (await session.merge(row)).deleted_at = factories.ago()
    await desk.keeper.apply()
    assert desk.sip.kept == {}
    await suspend(desk, suspended=False)
    await desk.keeper.apply(check_all=True)
    assert desk.sip.kept == {}
