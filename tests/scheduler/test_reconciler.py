"""Live attempts whose owner fell silent, and what is left behind after a call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from control_plane.db.models.call_order import CallOrder
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.events import (
    AgentAlive,
    AttemptResult,
    CallEnded,
    EndedBy,
)
from scheduler.claim import claim
from scheduler.reconciler import Reconciler
from scheduler.room_cleanup import RoomCleanup
from scheduler.rooms import Present
from scheduler.sip_watch import SipWatch
from tests import call_rows, factories
from tests.call_rows import CallRow
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report

pytestmark = [pytest.mark.db, pytest.mark.engines]


async def answered(desk: Desk) -> tuple[CallOrder, CallRow]:
    """Return an order and its answered attempt, with agent and phone in the room."""
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    [request] = desk.sip.dialled
    attempt_id = request.room_name.removeprefix("call-")
    desk.rooms.present[request.room_name] = [
        Present(identity="agent", is_agent=True, is_phone=False),
        Present(
            identity=request.participant_identity,
            is_agent=False,
            is_phone=True,
            call_status="active",
        ),
    ]
    return order, await factories.reload_attempt(desk.database, attempt_id)


async def change(desk: Desk, attempt: CallRow, **fields: Any) -> None:
    async with desk.database.transaction() as session:
        await call_rows.write(session, attempt.id, **fields)


async def test_an_agent_in_the_room_keeps_its_call(desk: Desk) -> None:
    _, attempt = await answered(desk)
    await change(desk, attempt, call_lease_until=factories.ago(seconds=5))
    await Reconciler(desk.database, desk.rooms).reconcile()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert after.status is AttemptStatus.ONGOING
    assert after.call_lease_until is not None
    assert after.call_lease_until > factories.ago(seconds=0)


async def test_a_lost_agent_ends_the_call_and_is_shut_out(desk: Desk) -> None:
    order, attempt = await answered(desk)
    await change(desk, attempt, call_lease_until=factories.ago(seconds=5))
    desk.rooms.present[attempt.room_name].pop(0)
    await Reconciler(desk.database, desk.rooms).reconcile()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert (after.status, after.end_reason) == (AttemptStatus.COMPLETED, "agent_lost")
    assert after.ended_by is EndedBy.SYSTEM
    stored = await factories.reload_order(desk.database, order.id)
    assert stored.status is OrderStatus.SCHEDULED  # nobody is known to have been reached
    with pytest.raises(StaleEpoch):
        await report(desk.database, attempt.id, attempt.epoch, AgentAlive(seq=2, at=0.0))


async def test_a_phone_that_vanishes_twice_means_the_sip_service_is_lost(desk: Desk) -> None:
    _, attempt = await answered(desk)
    desk.rooms.present[attempt.room_name].pop(1)
    reconciler = Reconciler(desk.database, desk.rooms)
    await reconciler.reconcile()
    once = await factories.reload_attempt(desk.database, attempt.id)
    assert once.status is AttemptStatus.ONGOING
    await reconciler.reconcile()
    twice = await factories.reload_attempt(desk.database, attempt.id)
    assert twice.end_reason == "sip_service_lost"


async def test_a_call_past_its_limit_is_ended(desk: Desk) -> None:
    _, attempt = await answered(desk)
    await change(desk, attempt, answered_at=factories.ago(seconds=620))
    await Reconciler(desk.database, desk.rooms).reconcile()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert after.end_reason == "max_duration"


async def test_an_order_survives_a_scheduler_that_died_preparing(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    [made] = await claim(desk.database, limit=1)
    attempt = CallRow(made)
    reconciler = Reconciler(desk.database, desk.rooms)
    await reconciler.reconcile()
    untouched = await factories.reload_attempt(desk.database, attempt.id)
    assert untouched.status is AttemptStatus.QUEUED
    await change(desk, attempt, dispatch_lease_until=factories.ago(seconds=1))
    await reconciler.reconcile()
    stored = await factories.reload_order(desk.database, order.id)
    assert stored.status is OrderStatus.QUEUED_FOR_CALLING
    assert stored.due_at is not None
    assert stored.due_at - stored.updated_at == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("call_status", "expected"),
    [
        ("active", AttemptStatus.ONGOING),
        ("ringing", AttemptStatus.RINGING),
        (None, AttemptStatus.ERROR),
    ],
)
async def test_a_scheduler_that_died_dialling_is_made_up_for(
    desk: Desk, call_status: str | None, expected: AttemptStatus
) -> None:
    await factories.order(desk.database, desk.vault, desk.owner)
    [made] = await claim(desk.database, limit=1)
    attempt = CallRow(made)
    await change(
        desk,
        attempt,
        status=AttemptStatus.RINGING,
        dialing_at=factories.ago(seconds=12),
        dispatch_lease_until=factories.ago(seconds=1),
    )
    if call_status is not None:
        phone = Present(
            identity=attempt.participant_identity,
            is_agent=False,
            is_phone=True,
            call_status=call_status,
        )
        desk.rooms.present[attempt.room_name] = [phone]
    await Reconciler(desk.database, desk.rooms).reconcile()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert after.status is expected
    assert await claim(desk.database, limit=1) == []


async def test_livekit_away_ends_nothing(desk: Desk) -> None:
    _, attempt = await answered(desk)
    await change(desk, attempt, call_lease_until=factories.ago(seconds=5))
    desk.rooms.broken = True
    await Reconciler(desk.database, desk.rooms).reconcile()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert after.status is AttemptStatus.ONGOING


async def test_the_room_of_a_closed_call_is_deleted(desk: Desk) -> None:
    _, attempt = await answered(desk)
    ended = CallEnded(
        seq=2, at=0.0, ended_by=EndedBy.USER, end_reason=None, result=AttemptResult.HUMAN
    )
    await report(desk.database, attempt.id, attempt.epoch, ended)
    await RoomCleanup(desk.database, desk.rooms).delete_rooms()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert after.room_deleted_at is not None
    assert desk.rooms.present == {}


async def test_the_calls_of_a_dead_sip_service_end_at_the_second_refusal(desk: Desk) -> None:
    class Gone:
        async def listening(self) -> bool:
            return False

    _, attempt = await answered(desk)
    watch = SipWatch(Gone(), Reconciler(desk.database, desk.rooms))
    await watch.check()
    once = await factories.reload_attempt(desk.database, attempt.id)
    assert once.status is AttemptStatus.ONGOING
    await watch.check()
    after = await factories.reload_attempt(desk.database, attempt.id)
    assert (after.status, after.end_reason) == (AttemptStatus.COMPLETED, "sip_service_lost")
    await report(desk.database, attempt.id, attempt.epoch, AgentAlive(seq=2, at=0.0))
