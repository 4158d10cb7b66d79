"""From a due order to the dial's result."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import OutboxRow
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import DispatchMetadata
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.events import AttemptResult, CallEnded, EndedBy, EndReason
from control_plane.domain.providers import DedicatedModel
from control_plane.internal import briefs
from control_plane.keys.tokens import Claims, Scope
from control_plane.orders.service import cancel
from scheduler.cancel import Canceller
from scheduler.claim import claim
from scheduler.room_cleanup import RoomCleanup
from scheduler.rooms import Present
from sip.ports import DialFailure, DialFailureKind
from tests import call_rows, factories
from tests.call_rows import CallRow
from tests.scheduler.conftest import Desk
from tests.scheduler.fakes import report

pytestmark = [pytest.mark.db, pytest.mark.engines]

K = DialFailureKind


async def run(desk: Desk, order: CallOrder) -> tuple[CallOrder, CallRow]:
    """Dispatch what is due, wait until it is done, and return order and last attempt."""
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    return await last(desk, order)


async def last(desk: Desk, order: CallOrder) -> tuple[CallOrder, CallRow]:
    async with desk.database.reading() as session:
        *_, attempt = await call_rows.find(session, Attempt.order_id == order.id)
    return await factories.reload_order(desk.database, order.id), attempt


async def test_the_agent_is_ready_before_the_dial(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    stored, attempt = await run(desk, order)
    assert desk.journal == ["room opened", "agent ready", "dialled"]
    assert (stored.status, attempt.status) == (OrderStatus.CALLING, AttemptStatus.ONGOING)
    assert attempt.sip_call_id == "SCL_1"
    [request] = desk.sip.dialled
    assert (request.to_number, request.from_number) == (factories.NUMBER, factories.OURS)
    assert request.room_name == f"call-{attempt.id}"
    assert request.sip_trunk_id == "ST_1"


async def test_nobody_is_called_without_a_ready_agent(desk: Desk) -> None:
    desk.rooms.agent = None
    order = await factories.order(desk.database, desk.vault, desk.owner)
    stored, attempt = await run(desk, order)
    assert desk.sip.dialled == []
    assert (attempt.end_reason, attempt.counted) == ("agent_not_ready", False)
    assert stored.status is OrderStatus.QUEUED_FOR_CALLING
    assert (stored.waiting_rule, stored.calls_count) == ("agent_not_ready", 0)
    assert attempt.ended_at is not None
    assert stored.due_at is not None
    assert (stored.due_at - attempt.ended_at).total_seconds() == 5
    await RoomCleanup(desk.database, desk.rooms).delete_rooms()
    assert desk.journal[-1] == "room closed"


@pytest.mark.parametrize("trouble", ["rooms", "trunk"])
async def test_our_own_trouble_burns_no_attempt(desk: Desk, trouble: str) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    if trouble == "rooms":
        desk.rooms.broken = True
    else:
        desk.sip.answer = DialFailure(kind=K.TRUNK_MISSING, sip_reason="does not exist")
    stored, attempt = await run(desk, order)
    assert stored.status is OrderStatus.QUEUED_FOR_CALLING
    assert not attempt.counted
    assert stored.uncounted_in_a_row == 1


@pytest.mark.parametrize(
    ("sip_status", "kind", "dial_error", "status", "count"),
    [
        (486, K.BAD_REQUEST, "busy", OrderStatus.SCHEDULED, 1),
        (480, K.BAD_REQUEST, "temporarily_unavailable", OrderStatus.SCHEDULED, 1),
        (None, K.RING_TIMEOUT, "no_answer", OrderStatus.SCHEDULED, 1),
        (404, K.BAD_REQUEST, "number_non_attributed", OrderStatus.ERRORED, 1),
        (603, K.BAD_REQUEST, "non_classified_error", OrderStatus.COMPLETED, 1),
        (607, K.BAD_REQUEST, "non_classified_error", OrderStatus.COMPLETED, 1),
        (403, K.BAD_REQUEST, "no_international_permission", OrderStatus.QUEUED_FOR_CALLING, 0),
        (None, K.AUTHENTICATION, "precondition_failed", OrderStatus.QUEUED_FOR_CALLING, 0),
        (503, K.BAD_REQUEST, "too_many_calls", OrderStatus.QUEUED_FOR_CALLING, 0),
        (500, K.BAD_REQUEST, "non_classified_error", OrderStatus.QUEUED_FOR_CALLING, 0),
        (None, K.SERVICE_UNAVAILABLE, "non_classified_error", OrderStatus.QUEUED_FOR_CALLING, 0),
        (None, K.OUTCOME_UNKNOWN, "non_classified_error", OrderStatus.SCHEDULED, 1),
    ],
)
async def test_a_failed_dial(
    desk: Desk,
    sip_status: int | None,
    kind: DialFailureKind,
    dial_error: str,
    status: OrderStatus,
    count: int,
) -> None:
    desk.sip.answer = DialFailure(kind=kind, sip_status=sip_status, sip_reason="why")
    order = await factories.order(desk.database, desk.vault, desk.owner)
    stored, attempt = await run(desk, order)
    assert (attempt.status, attempt.dial_error) == (AttemptStatus.ERROR, dial_error)
    assert (attempt.sip_status, attempt.sip_reason) == (sip_status, "why")
    assert (stored.status, stored.calls_count) == (status, count)
    if status is OrderStatus.SCHEDULED:
        assert stored.waiting_rule == "retry_delay"


async def test_after_an_unknown_answer_nobody_is_called_twice(desk: Desk) -> None:
    desk.sip.answer = DialFailure(kind=K.OUTCOME_UNKNOWN)
    desk.sip.hold = asyncio.Event()
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.sip.ringing.wait()
    [request] = desk.sip.dialled
    desk.rooms.present[request.room_name] = [
        Present(identity=request.participant_identity, is_agent=False, is_phone=True)
    ]
    desk.sip.hold.set()
    await desk.dispatcher.finish(10)
    stored, attempt = await last(desk, order)
    assert (stored.status, attempt.status) == (OrderStatus.CALLING, AttemptStatus.RINGING)
    assert await claim(desk.database, limit=5) == []


async def test_a_cancel_before_the_dial_means_no_invite(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    arrive = desk.rooms.agent
    assert arrive is not None

    async def cancelled_meanwhile(metadata: object) -> None:
        await cancel(desk.database, desk.owner, order.id)
        await arrive(metadata)  # type: ignore[arg-type]

    desk.rooms.agent = cancelled_meanwhile
    stored, attempt = await run(desk, order)
    assert desk.sip.dialled == []
    assert (stored.status, attempt.end_reason) == (OrderStatus.CANCELLED, "cancelled")


async def test_a_cancel_while_it_rings_ends_the_room(desk: Desk) -> None:
    desk.sip.hold = asyncio.Event()
    desk.sip.answer = DialFailure(kind=K.BAD_REQUEST, sip_status=487)
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.sip.ringing.wait()
    await cancel(desk.database, desk.owner, order.id)
    await Canceller(desk.database, desk.rooms).end_cancelled()
    assert desk.journal[-1] == "room closed"
    desk.sip.hold.set()
    await desk.dispatcher.finish(10)
    stored, attempt = await last(desk, order)
    assert stored.status is OrderStatus.CANCELLED
    assert (attempt.end_reason, attempt.dial_error) == (EndReason.CANCELLED, None)


async def test_a_cancel_of_a_live_call_ends_it(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await run(desk, order)
    noted = await cancel(desk.database, desk.owner, order.id)
    assert noted.status is OrderStatus.CALLING
    canceller = Canceller(desk.database, desk.rooms)
    await canceller.end_cancelled()
    await canceller.end_cancelled()
    stored, attempt = await last(desk, order)
    assert (stored.status, attempt.status) == (OrderStatus.CANCELLED, AttemptStatus.COMPLETED)
    assert (attempt.ended_by, attempt.end_reason) == (EndedBy.SYSTEM, EndReason.CANCELLED)
    assert desk.journal.count("room closed") == 1


async def test_the_dial_result_wins_over_the_agents_guess(desk: Desk) -> None:
    desk.sip.hold = asyncio.Event()
    desk.sip.answer = DialFailure(kind=K.BAD_REQUEST, sip_status=486)
    order = await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.sip.ringing.wait()
    _, attempt = await last(desk, order)
    ended = CallEnded(
        seq=2,
        at=0.0,
        ended_by=EndedBy.SYSTEM,
        end_reason=EndReason.NOT_ANSWERED,
        result=AttemptResult.UNKNOWN,
    )
    await report(desk.database, attempt.id, attempt.epoch, ended)
    desk.sip.hold.set()
    await desk.dispatcher.finish(10)
    stored, attempt = await last(desk, order)
    assert (attempt.dial_error, stored.status) == ("busy", OrderStatus.SCHEDULED)


async def test_due_orders_are_claimed_once_by_rivals(desk: Desk) -> None:
    orders = [await factories.order(desk.database, desk.vault, desk.owner) for _ in range(12)]
    later = await factories.order(
        desk.database, desk.vault, desk.owner, scheduled_at=factories.ago(hours=-1)
    )
    claimed = await asyncio.gather(*[claim(desk.database, limit=3) for _ in range(8)])
    ids = [attempt.order_id for part in claimed for attempt in part]
    while rest := await claim(desk.database, limit=3):  # a rival passes by a lane that is held
        ids += [attempt.order_id for attempt in rest]
    assert sorted(ids) == sorted(order.id for order in orders)
    assert later.id not in ids
    async with desk.database.reading() as session:
        count = await session.scalar(select(func.count()).select_from(Attempt))
        announced = await session.scalar(
            select(func.count()).select_from(OutboxRow).where(OutboxRow.type == "call.initiating")
        )
    assert (count, announced) == (12, 12)


async def test_an_order_without_a_trunk_ends_in_error(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    async with desk.database.transaction() as session:
        stored = await session.get_one(CallOrder, order.id)
        stored.from_phone_number = "+12025550142"
    stored, attempt = await run(desk, order)
    assert (stored.status, attempt.dial_error) == (OrderStatus.ERRORED, "precondition_failed")


async def test_nobody_is_called_without_the_providers_key(desk: Desk) -> None:
    mute = factories.spec(llm_model=DedicatedModel("gpt-4.1"))
    order = await factories.order(desk.database, desk.vault, desk.owner, assistant=mute)
    stored, attempt = await run(desk, order)
    assert desk.journal == []
    assert (stored.status, stored.calls_count) == (OrderStatus.ERRORED, 0)
    assert (attempt.end_reason, attempt.dial_error) == ("provider_failed", "precondition_failed")
    assert "offhook provider set openai" in (attempt.detail or "")


async def test_a_failing_provider_is_named_and_tried_three_times(desk: Desk) -> None:
    async def give_up(told: DispatchMetadata) -> None:
        ended = CallEnded(
            seq=1,
            at=0.0,
            ended_by=EndedBy.SYSTEM,
            end_reason=EndReason.PROVIDER_FAILED,
            result=AttemptResult.UNKNOWN,
            detail="the key was refused",
        )
        await report(desk.database, told.attempt_id or "", told.epoch, ended)

    desk.rooms.agent = give_up
    order = await factories.order(desk.database, desk.vault, desk.owner)
    for expected in (OrderStatus.QUEUED_FOR_CALLING, OrderStatus.QUEUED_FOR_CALLING):
        stored, attempt = await run(desk, order)
        assert (stored.status, stored.waiting_rule) == (expected, "provider_failed")
        assert (attempt.end_reason, attempt.detail) == ("provider_failed", "the key was refused")
        async with desk.database.transaction() as session:
            row = await session.get_one(CallOrder, order.id)
            row.due_at = row.not_before = factories.ago(seconds=1)
    stored, attempt = await run(desk, order)
    assert stored.status is OrderStatus.ERRORED
    assert desk.sip.dialled == []


@pytest.mark.parametrize(
    ("sip_status", "kind", "cause"),
    [
        (503, K.BAD_REQUEST, "trunk_backing_off"),
        (None, K.SERVICE_UNAVAILABLE, "sip_service_unavailable"),
        (None, K.UNREACHABLE, "trunk_unreachable"),
        (None, K.TRUNK_MISSING, "trunk_not_applied"),
    ],
)
async def test_an_order_that_waits_says_for_what(
    desk: Desk, sip_status: int | None, kind: DialFailureKind, cause: str
) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    desk.sip.answer = DialFailure(kind=kind, sip_status=sip_status)
    stored, _ = await run(desk, order)
    assert stored.waiting_rule == cause


async def test_a_call_marked_as_unwanted_says_so(desk: Desk) -> None:
    order = await factories.order(desk.database, desk.vault, desk.owner)
    desk.sip.answer = DialFailure(kind=K.BAD_REQUEST, sip_status=607, sip_reason="Unwanted")
    _, attempt = await run(desk, order)
    assert "do not call this number again" in (attempt.detail or "")


async def test_an_agent_is_asked_for_again_until_one_takes_the_call(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit asks its workers once; at that moment each may be full, or none may be there."""
    monkeypatch.setattr("scheduler.prepare.ASK_AGAIN_S", 0.1)
    monkeypatch.setattr("scheduler.prepare._SWEEP_S", 0.05)
    comes, asked = desk.rooms.agent, []

    async def third_time(metadata: DispatchMetadata) -> None:
        asked.append(metadata)
        if len(asked) == 3:
            assert comes is not None
            await comes(metadata)

    desk.rooms.agent = third_time
    order = await factories.order(desk.database, desk.vault, desk.owner)
    stored, attempt = await run(desk, order)
    assert (stored.status, attempt.status) == (OrderStatus.CALLING, AttemptStatus.ONGOING)
    assert asked[0] == asked[1] == asked[2]
    assert desk.journal.count("dialled") == 1


async def test_nobody_else_is_asked_once_an_agent_has_the_brief(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.prepare.ASK_AGAIN_S", 0.1)
    monkeypatch.setattr("scheduler.prepare._SWEEP_S", 0.05)
    asked = []

    async def takes_it_and_is_slow(metadata: DispatchMetadata) -> None:
        asked.append(metadata)
        async with desk.database.transaction() as db:
            claims = Claims(metadata.attempt_id or "", metadata.epoch, Scope.BRIEF)
            await briefs.open_brief(db, claims, now=datetime.now(UTC))

    desk.rooms.agent = takes_it_and_is_slow
    order = await factories.order(desk.database, desk.vault, desk.owner)
    _, attempt = await run(desk, order)
    assert attempt.end_reason == "agent_not_ready"
    assert len(asked) == 1
