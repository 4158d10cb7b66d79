"""Due orders become attempts, lane by lane, in a transaction, before anything touches the network.

A lane is the queue of one trunk: its pace, its faults and its limit of calls decide how many of
its orders are claimed, so a backlog on one trunk costs another nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database, wake
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Trunk, TrunkPace
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
    DialFailed,
    Forbidden,
    HeldBack,
)
from control_plane.domain.gate import Go, Never, Rule, Wait
from control_plane.domain.ids import new_id
from control_plane.domain.pace import most_preparing
from control_plane.domain.waiting import Cause
from control_plane.orders import leases, lifecycle, repository, slots
from control_plane.orders.gatekeeper import Gatekeeper
from control_plane.providers.needed import missing_keys
from control_plane.trunks import pace
from control_plane.trunks.routing import Houses, Route, country_prefix
from process import crash_points

_AT_ONCE = 20
"""Orders of one lane in one transaction: long enough to be cheap, short enough to be fair."""


class Lane(Struct, frozen=True):
    """A trunk's queue, and the earliest due time in it."""

    trunk_id: str | None
    due_at: datetime


async def claim(
    database: Database, *, limit: int, houses: Houses | None = None
) -> Sequence[Attempt]:
    """Return fresh attempts for at most `limit` due orders; nobody else has them.

    Each open lane gets its share, those that have waited longest first.
    """
    if limit <= 0:
        return []
    async with database.reading() as session:
        now = await read_clock(session)
        lanes = [lane for lane in await open_lanes(session, now) if lane.due_at <= now]
    started: list[Attempt] = []
    share = max(1, limit // max(1, len(lanes)))
    for lane in sorted(lanes, key=lambda each: each.due_at):
        room = min(share, limit - len(started), _AT_ONCE)
        if room > 0:
            started += await _claim_lane(database, lane.trunk_id, room, houses or Houses())
    return started


async def open_lanes(session: AsyncSession, now: datetime) -> list[Lane]:
    """Return the lanes with waiting orders whose trunk takes calls."""
    return [
        Lane(trunk_id, due_at)
        for trunk_id, due_at, stopped, blocked in await repository.lanes(session)
        if stopped is None and (blocked is None or blocked <= now)
    ]


async def next_look(session: AsyncSession, now: datetime) -> datetime | None:
    """Return the next instant at which an order may become claimable by time alone."""
    instants = []
    for _trunk_id, due_at, stopped, blocked in await repository.lanes(session):
        if stopped is None:
            instants.append(max(due_at, blocked) if blocked is not None else due_at)
    return min((instant for instant in instants if instant > now), default=None)


async def _claim_lane(
    database: Database, trunk_id: str | None, room: int, houses: Houses
) -> list[Attempt]:
    started = []
    async with database.transaction() as session:
        now = await read_clock(session)
        if trunk_id is not None:
            room = min(room, await _free(session, trunk_id, now))
        if room <= 0:
            return []
        orders = await repository.claim_due(session, trunk_id, now=now, limit=room)
        await slots.lock_keys(session, orders)
        keeper = Gatekeeper(session, now, houses)
        await keeper.prepare(orders)
        for order in orders:
            attempt = await _start(session, keeper, order, now)
            if attempt is not None:
                started.append(attempt)
        crash_points.here("before_claim_commit")
    crash_points.here("after_claim_commit")
    return started


async def _free(session: AsyncSession, trunk_id: str, now: datetime) -> int:
    """Return how many calls may be set out on the trunk now; the lane is ours until the commit."""
    row = await pace.lock(session, trunk_id, wait=False)
    trunk = await session.get(Trunk, trunk_id)
    if row is None:
        return 0
    if trunk is None or trunk.deleted_at is not None:
        return _AT_ONCE  # its orders find another way
    if row.stopped_at is not None or (row.blocked_until is not None and row.blocked_until > now):
        return 0
    live, preparing, dialling = await repository.calls_on(session, trunk_id)
    if _is_probing(row):
        return 1 if preparing + dialling == 0 else 0
    free = min(
        trunk.max_concurrent_calls - live, most_preparing(trunk.calls_per_second) - preparing
    )
    return max(0, free)


def _is_probing(row: TrunkPace) -> bool:
    """Return whether one call is to show that the trunk is well again."""
    return row.failures_in_a_row > 0


async def _start(
    session: AsyncSession, keeper: Gatekeeper, order: CallOrder, now: datetime
) -> Attempt | None:
    match await keeper.ask(order):
        case Never(rule):
            await lifecycle.apply(session, order, None, Forbidden(at=now, rule=rule))
            return None
        case Wait(until, rule):
            await lifecycle.apply(session, order, None, HeldBack(at=now, until=until, rule=rule))
            return None
        case Go():
            pass
    way = (await keeper.house(order.organization_id)).route(order.from_phone_number)
    if way is not None and way.trunk.id != order.trunk_id:
        order.trunk_id, order.due_at = way.trunk.id, now  # it goes on in that trunk's lane
        wake(session)
        return None
    if way is not None and await _is_stopped_there(session, way, order):
        await lifecycle.apply(
            session, order, None, HeldBack(at=now, until=None, rule=Rule.DESTINATION_STOPPED)
        )
        return None
    return await _attempt(session, order, way, now)


async def _is_stopped_there(session: AsyncSession, way: Route, order: CallOrder) -> bool:
    stopped = await pace.stopped_destinations(session, way.trunk.id)
    return bool(stopped) and country_prefix(order.to_phone_number) in stopped


async def _attempt(
    session: AsyncSession, order: CallOrder, way: Route | None, now: datetime
) -> Attempt | None:
    version = await versions.get(session, order.assistant_version_id)
    attempt = await _row(session, order, way, now, recorded=version.spec.recording_enabled)
    session.add(attempt)
    await session.flush()
    await lifecycle.apply(session, order, attempt, AttemptStarted(at=now))
    if way is None:
        failure = DialFailed(
            at=now,
            kind=DialFailureKind.BAD_REQUEST,
            sip_reason="the organization has no outbound trunk for this number",
        )
        await lifecycle.apply(session, order, attempt, failure)
        return None
    missing = await missing_keys(session, order.organization_id, version.spec)
    if not missing:
        return attempt
    # Nobody is called by an agent that could not speak; waiting would not help.
    gave_up = AttemptAbandoned(
        at=now, reason=Cause.PROVIDER_FAILED, detail=_no_key(missing), hopeless=True
    )
    await lifecycle.apply(session, order, attempt, gave_up)
    return None


def _no_key(missing: Sequence[Provider]) -> str:
    remedies = " and ".join(f"`offhook provider set {name}`" for name in missing)
    return f"no key for {', '.join(missing)}: run {remedies}, then order the call again"


async def _row(
    session: AsyncSession, order: CallOrder, way: Route | None, now: datetime, *, recorded: bool
) -> Attempt:
    attempt_id = new_id()
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
