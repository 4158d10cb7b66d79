"""Due orders become attempts, in one transaction, before anything touches the network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.assistant import Provider
from control_plane.domain.attempt import (
    AttemptStatus,
    RecordingState,
    participant_identity,
    room_name,
)
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.facts import (
    AttemptAbandoned,
    AttemptStarted,
    CancelRequested,
    DialFailed,
    HeldBack,
)
from control_plane.domain.gate import GateView, Go, Never, Wait, gate
from control_plane.domain.ids import new_id
from control_plane.domain.waiting import Cause
from control_plane.orders import leases, lifecycle, repository
from control_plane.providers.needed import missing_keys
from control_plane.trunks.repository import Route, route


async def claim(database: Database, *, limit: int) -> Sequence[Attempt]:
    """Return fresh attempts for at most `limit` due orders; nobody else has them."""
    if limit <= 0:
        return []
    async with database.reading() as session:
        due = await repository.next_due(session)
        if due is None or due > await read_clock(session):
            return []
    started = []
    async with database.transaction() as session:
        now = await read_clock(session)
        for order in await repository.claim_due(session, now=now, limit=limit):
            attempt = await _start(session, order, now)
            if attempt is not None:
                started.append(attempt)
    return started


def view(order: CallOrder) -> GateView:
    """Return what the gate needs to know of `order`."""
    return GateView(
        cancel_requested=order.cancel_requested_at is not None,
        scheduled_at=order.scheduled_at,
        not_before=order.not_before,
        force_now=order.force_now,
    )


async def _start(session: AsyncSession, order: CallOrder, now: datetime) -> Attempt | None:
    match gate(view(order), now):
        case Never():
            await lifecycle.apply(session, order, None, CancelRequested(at=now))
            return None
        case Wait(until, rule):
            await lifecycle.apply(session, order, None, HeldBack(at=now, until=until, rule=rule))
            return None
        case Go():
            pass
    way = await route(session, order.organization_id, order.from_phone_number)
    attempt = await _attempt(session, order, way, now)
    session.add(attempt)
    await session.flush()
    await lifecycle.apply(session, order, attempt, AttemptStarted(at=now))
    if way is None:
        await lifecycle.apply(
            session,
            order,
            attempt,
            DialFailed(
                at=now,
                kind=DialFailureKind.BAD_REQUEST,
                sip_reason="the organization has no outbound trunk for this number",
            ),
        )
        return None
    missing = await missing_keys(session, order.organization_id, specs.load(order.spec))
    if missing:
        await lifecycle.apply(session, order, attempt, _no_key(missing, now))
        return None
    return attempt


def _no_key(missing: Sequence[Provider], now: datetime) -> AttemptAbandoned:
    """Nobody is called by an agent that could not speak; waiting would bring no key."""
    remedies = " and ".join(f"`offhook provider set {name}`" for name in missing)
    return AttemptAbandoned(
        at=now,
        reason=Cause.PROVIDER_FAILED,
        detail=f"no key for {', '.join(missing)}: run {remedies}, then order the call again",
        hopeless=True,
    )


async def _attempt(
    session: AsyncSession, order: CallOrder, way: Route | None, now: datetime
) -> Attempt:
    attempt_id = new_id()
    recorded = order.spec.get("recording_enabled", True)
    return Attempt(
        id=attempt_id,
        order_id=order.id,
        organization_id=order.organization_id,
        ordinal=await repository.count_attempts(session, order.id) + 1,
        counted=True,
        status=AttemptStatus.QUEUED,
        epoch=order.epoch,
        room_name=room_name(attempt_id),
        participant_identity=participant_identity(attempt_id),
        to_phone_number=order.to_phone_number,
        from_phone_number=way.from_phone_number if way is not None else "",
        trunk_id=way.trunk.id if way is not None else None,
        dispatch_lease_until=now + leases.LEASE,
        last_event_seq=0,
        created_at=now,
        recording_state=RecordingState.SPOOLING if recorded else RecordingState.ABSENT,
    )
