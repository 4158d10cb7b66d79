"""A trunk's pace as rows hold it: reserved INVITEs, faults, and what stops it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import DestinationStop, Trunk, TrunkPace
from control_plane.domain import pace
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import DialFailureKind, Policy
from control_plane.domain.gate import Rule
from control_plane.domain.retry import back_off
from control_plane.domain.transitions import DialFailed
from control_plane.domain.waiting import Cause
from control_plane.trunks.routing import country_prefix
from process.logs import get_logger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
OUR_OWN = {DialFailureKind.SERVICE_UNAVAILABLE, DialFailureKind.TRUNK_MISSING}
"""Failures of our SIP service: they say nothing of the trunk."""
_ALWAYS_HAD = "a lock that waits is always had"

_ROW = select(TrunkPace).where(TrunkPace.trunk_id == bindparam("trunk_id"))
_LOCKED = _ROW.with_for_update().execution_options(populate_existing=True)
_LOCKED_IF_FREE = _ROW.with_for_update(skip_locked=True).execution_options(populate_existing=True)
_BOTH = (
    select(TrunkPace, Trunk)
    .join(Trunk, Trunk.id == TrunkPace.trunk_id)
    .where(TrunkPace.trunk_id == bindparam("trunk_id"))
    .execution_options(populate_existing=True)
)
_WITH_TRUNK = _BOTH.with_for_update(of=TrunkPace)
_WITH_TRUNK_IF_FREE = _BOTH.with_for_update(of=TrunkPace, skip_locked=True)

log = get_logger(__name__)


class Closed(Struct, frozen=True):
    """Why a trunk takes no calls; `until` is null when somebody has to act."""

    rule: str
    until: datetime | None


async def lock(db: AsyncSession, trunk_id: str, *, wait: bool = True) -> TrunkPace | None:
    """Return the trunk's pace, locked until the transaction ends.

    None when somebody else holds it and `wait` is false (PostgreSQL).
    """
    locking, key = _LOCKED if wait else _LOCKED_IF_FREE, {"trunk_id": trunk_id}
    row = await db.scalar(locking, key)
    if row is None and (wait or await db.scalar(_ROW, key) is None):
        try:
            async with db.begin_nested():
                db.add(TrunkPace(trunk_id=trunk_id, invites=[], recent="", failures_in_a_row=0))
        except IntegrityError:
            log.debug("another process made the row", trunk_id=trunk_id)
        row = await db.scalar(locking, key)
    return row


async def lock_with_trunk(
    db: AsyncSession, trunk_id: str, *, wait: bool = True
) -> tuple[TrunkPace, Trunk] | None:
    """Return the trunk's pace, locked until the transaction ends, and the trunk as it is now.

    None as for `lock`.
    """
    query = _WITH_TRUNK if wait else _WITH_TRUNK_IF_FREE
    found = (await db.execute(query, {"trunk_id": trunk_id})).one_or_none()
    if found is None:
        row = await lock(db, trunk_id, wait=wait)
        return (row, await db.get_one(Trunk, trunk_id)) if row is not None else None
    return found[0], found[1]


async def time_to_invite(db: AsyncSession, leg: Leg, now: datetime) -> timedelta:
    """Return how long the leg's INVITE must wait; zero: it leaves now, and is remembered.

    The first time it is asked, an instant is reserved.
    """
    found = await lock_with_trunk(db, leg.trunk_id or "")
    if found is None:
        raise TypeError(_ALWAYS_HAD)
    row, trunk = found
    rate = trunk.calls_per_second
    if leg.invite_at is None:
        leg.invite_at, row.invite_free_at = pace.reserve(
            row.invite_free_at, now, calls_per_second=rate
        )
    if leg.invite_at - now > _MICROSECOND:
        return leg.invite_at - now
    at = (now - _EPOCH) // _MICROSECOND
    wait, row.invites = pace.may_leave(row.invites, at, calls_per_second=rate)
    return wait * _MICROSECOND


async def took_the_call(db: AsyncSession, trunk_id: str) -> None:
    """Note that the trunk passed a call on, whatever became of it there."""
    row = await _locked(db, trunk_id)
    row.recent = pace.remember(row.recent, took_the_call=True)
    row.failures_in_a_row = 0
    row.blocked_until = row.blocked_rule = None


async def refused(db: AsyncSession, trunk_id: str, cause: Cause, now: datetime) -> datetime:
    """Note that the trunk was in trouble; return until when it is left alone."""
    row = await _locked(db, trunk_id)
    row.recent = pace.remember(row.recent, took_the_call=False)
    row.failures_in_a_row += 1
    pause = back_off(row.failures_in_a_row)
    opened = pace.breaks(row.recent)
    row.blocked_rule = Rule.TRUNK_BREAKER if opened else cause
    row.blocked_until = now + (max(pause, pace.OPEN_FOR) if opened else pause)
    log.warning(
        "a trunk is left alone for a while",
        trunk_id=trunk_id,
        seconds=(row.blocked_until - now) / timedelta(seconds=1),
        rule=row.blocked_rule,
    )
    return row.blocked_until


async def report_failed_dial(
    db: AsyncSession, leg: Leg, policy: Policy, fact: DialFailed, cause: Cause
) -> None:
    """Note what a failed dial says of the trunk that its leg took."""
    if leg.trunk_id is None or (fact.sip_status is None and fact.kind in OUR_OWN):
        return
    said = f"SIP {fact.sip_status} {fact.sip_reason}".strip() if fact.sip_status else fact.kind
    match policy:
        case Policy.BACK_OFF:
            await refused(db, leg.trunk_id, cause, fact.at)
        case Policy.STOP_DESTINATION:
            prefix = country_prefix(leg.to_phone_number)
            await stop_destination(db, leg.trunk_id, prefix, said, fact.at)
        case Policy.STOP_TRUNK if fact.kind is not DialFailureKind.BAD_REQUEST:
            await stop(db, leg.trunk_id, said, fact.at)
        case _ if fact.sip_status is not None or fact.kind is DialFailureKind.RING_TIMEOUT:
            await took_the_call(db, leg.trunk_id)


async def stop(db: AsyncSession, trunk_id: str, reason: str, now: datetime) -> None:
    """Place no further call on the trunk until its settings change or somebody resumes it."""
    row = await _locked(db, trunk_id)
    row.stopped_at, row.stopped_reason = row.stopped_at or now, reason
    log.error("a trunk was stopped", trunk_id=trunk_id, pii_reason=reason)


async def stop_destination(
    db: AsyncSession, trunk_id: str, prefix: str, reason: str, now: datetime
) -> None:
    """Place no further call to that country on the trunk until somebody resumes it."""
    if await db.get(DestinationStop, (trunk_id, prefix)) is None:
        db.add(DestinationStop(trunk_id=trunk_id, prefix=prefix, reason=reason, created_at=now))
        await db.flush()
    log.error("a destination was stopped on a trunk", trunk_id=trunk_id, prefix=prefix)


async def closed(db: AsyncSession, trunk_ids: Collection[str], now: datetime) -> dict[str, Closed]:
    """Return those of the trunks that take no calls now, and why."""
    rows = await db.scalars(select(TrunkPace).where(TrunkPace.trunk_id.in_(trunk_ids)))
    found = {}
    for row in rows:
        if row.stopped_at is not None:
            found[row.trunk_id] = Closed(Rule.TRUNK_STOPPED, None)
        elif row.blocked_until is not None and row.blocked_until > now:
            rule = row.blocked_rule or Rule.TRUNK_BREAKER
            found[row.trunk_id] = Closed(rule, row.blocked_until)
    return found


async def stopped_destinations(db: AsyncSession, trunk_id: str) -> dict[str, str]:
    """Return the countries that the trunk may not be asked to call, and why."""
    rows = await db.scalars(select(DestinationStop).where(DestinationStop.trunk_id == trunk_id))
    return {row.prefix: row.reason for row in rows}


async def resume(db: AsyncSession, trunk_id: str, now: datetime) -> None:
    """Forget every fault and stop of the trunk, and let its orders go on."""
    row = await _locked(db, trunk_id)
    row.recent, row.failures_in_a_row = "", 0
    row.blocked_until = row.blocked_rule = row.stopped_at = row.stopped_reason = None
    await db.execute(delete(DestinationStop).where(DestinationStop.trunk_id == trunk_id))
    await db.execute(
        update(CallOrder)
        .where(
            CallOrder.trunk_id == trunk_id,
            CallOrder.waiting_rule == Rule.DESTINATION_STOPPED,
            CallOrder.status == OrderStatus.QUEUED_FOR_CALLING,
        )
        .values(due_at=now)
        .execution_options(synchronize_session=False)
    )
    wake(db)


async def _locked(db: AsyncSession, trunk_id: str) -> TrunkPace:
    row = await lock(db, trunk_id)
    if row is None:
        raise TypeError(_ALWAYS_HAD)
    return row
