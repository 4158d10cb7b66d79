"""Due orders become attempts, lane by lane, in a transaction, before anything touches the network.

A lane is the queue of one trunk: its pace, its faults and its limit of calls decide how many of
its orders are claimed, so a backlog on one trunk costs another nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.assistants.versions import Version
from control_plane.db.base import read_clock
from control_plane.db.engine import Database, wake
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.recording import Recording
from control_plane.domain.attempt import AttemptStatus, participant_identity, room_name
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.gate import Decision, Go, Never, Rule, Wait
from control_plane.domain.ids import new_id
from control_plane.domain.leg import LegKind
from control_plane.domain.pace import most_preparing
from control_plane.domain.providers import Provider
from control_plane.domain.recording import RecordingState
from control_plane.domain.transitions import (
    AttemptAbandoned,
    AttemptStarted,
    DialFailed,
    Forbidden,
    HeldBack,
)
from control_plane.domain.waiting import Cause
from control_plane.orders import lifecycle, repository, slots
from control_plane.orders.gatekeeper import Gatekeeper
from control_plane.providers.needed import missing_keys
from control_plane.sessions import leases
from control_plane.sessions.calls import Call
from control_plane.sessions.making import Person, Speaker, begin
from control_plane.trunks import pace
from control_plane.trunks.repository import calls_on
from control_plane.trunks.routing import DialPlans, Route, country_prefix, no_way
from process import crash_points

_AT_ONCE = 20
"""Orders of one lane in one transaction: long enough to be cheap, short enough to be fair."""


class Lane(Struct, frozen=True):
    """A trunk's queue, and the earliest due time in it."""

    trunk_id: str | None
    due_at: datetime


class Look(Struct, frozen=True):
    """What may be claimed now, and for how long time alone will bring no more."""

    lanes: list[Lane]
    wait: timedelta | None


async def load_lanes(database: Database) -> Look:
    """Return what there is to claim."""
    async with database.reading() as db:
        now = await read_clock(db)
        rows = await repository.lanes(db)
    next_at = _next(rows, now)
    due = [lane for lane in _open(rows, now) if lane.due_at <= now]
    return Look(due, next_at - now if next_at is not None else None)


async def claim(
    database: Database,
    *,
    limit: int,
    dial_plans: DialPlans | None = None,
    seen: Look | None = None,
) -> list[Call]:
    """Return fresh calls for at most `limit` due orders; nobody else has them.

    Each open lane gets its share, those that have waited longest first.

    Args:
        seen: a look just taken; one is taken here otherwise.
    """
    if limit <= 0:
        return []
    lanes = (seen or await load_lanes(database)).lanes
    started: list[Call] = []
    share = max(1, limit // max(1, len(lanes)))
    for lane in sorted(lanes, key=lambda each: each.due_at):
        room = min(share, limit - len(started), _AT_ONCE)
        if room > 0:
            started += await _claim_lane(database, lane.trunk_id, room, dial_plans or DialPlans())
    return started


def _open(rows: Sequence[repository.LaneRow], now: datetime) -> list[Lane]:
    """Return the lanes with waiting orders whose trunk takes calls."""
    return [
        Lane(trunk_id, due_at)
        for trunk_id, due_at, stopped, blocked in rows
        if stopped is None and (blocked is None or blocked <= now)
    ]


async def next_look(db: AsyncSession, now: datetime) -> datetime | None:
    """Return the next instant at which an order may become claimable by time alone."""
    return _next(await repository.lanes(db), now)


def _next(rows: Sequence[repository.LaneRow], now: datetime) -> datetime | None:
    instants = []
    for _trunk_id, due_at, stopped, blocked in rows:
        if stopped is None:
            instants.append(max(due_at, blocked) if blocked is not None else due_at)
    return min((instant for instant in instants if instant > now), default=None)


async def _claim_lane(
    database: Database, trunk_id: str | None, room: int, dial_plans: DialPlans
) -> list[Call]:
    async with database.transaction() as db:
        now = await read_clock(db)
        if trunk_id is not None:
            room = min(room, await _free(db, trunk_id, now))
        if room <= 0:
            return []
        orders = await repository.claim_due(db, trunk_id, now=now, limit=room)
        if not orders:
            return []
        await slots.lock_keys(db, orders)
        keeper = Gatekeeper(db, now, dial_plans)
        await keeper.prepare(orders)
        batch = _Batch(db, keeper, now)
        await batch.start(orders)
        crash_points.here("before_claim_commit")
    crash_points.here("after_claim_commit")
    return batch.started


async def _free(db: AsyncSession, trunk_id: str, now: datetime) -> int:
    """Return how many calls may be set out on the trunk now; the lane is ours until the commit."""
    found = await pace.lock_with_trunk(db, trunk_id, wait=False)
    if found is None:
        return 0
    row, trunk = found
    if trunk.deleted_at is not None:
        return _AT_ONCE  # its orders find another way
    if row.stopped_at is not None or (row.blocked_until is not None and row.blocked_until > now):
        return 0
    live, preparing, dialling = await calls_on(db, trunk_id)
    if row.failures_in_a_row > 0:  # one call is to show that the trunk is well again
        return 1 if preparing + dialling == 0 else 0
    free = min(
        trunk.max_concurrent_calls - live, most_preparing(trunk.calls_per_second) - preparing
    )
    return max(0, free)


class _Start(Struct, frozen=True):
    """An order that the gate lets through, its new attempt, and what is in the attempt's way."""

    order: CallOrder
    call: Call
    obstacle: AttemptAbandoned | DialFailed | None
    recorded: bool


class _Batch:
    """Orders of one lane on their way to attempts, in the transaction that claimed them."""

    def __init__(self, db: AsyncSession, keeper: Gatekeeper, now: datetime):
        self.started: list[Call] = []
        self._db = db
        self._keeper = keeper
        self._now = now
        self._made: dict[str, int] = {}
        self._stops: dict[str, dict[str, str]] = {}
        self._missing: dict[tuple[str, str], list[Provider]] = {}

    async def start(self, orders: Sequence[CallOrder]) -> None:
        """Ask the gate about each, and make the attempts of those that may go."""
        self._made = await repository.count_attempts(self._db, [each.id for each in orders])
        together: list[_Start] = []
        for order in orders:
            start = await self._decide(order)
            if start is None:
                continue
            if order.concurrency_key is None:
                together.append(start)
            else:
                await self._write([start])  # the next one's gate counts it
        await self._write(together)

    async def _decide(self, order: CallOrder) -> _Start | None:
        """Return what is to be written for an order that may go; else it is told to wait."""
        now = self._now
        fact, way = await self._judge(order)
        hopeless = isinstance(fact, Forbidden) or (fact is None and way is None)
        if hopeless and self._keeper.drop_older_plan(order):
            fact, way = await self._judge(order)
        if fact is None and way is not None:
            if way.trunk.id != order.trunk_id:
                order.trunk_id, order.due_at = way.trunk.id, now  # it goes on in that trunk's lane
                wake(self._db)
                return None
            if await self._is_stopped_there(way, order):
                fact = HeldBack(at=now, until=None, rule=Rule.DESTINATION_STOPPED)
        if fact is not None:
            await lifecycle.apply(self._db, order, None, fact)
            return None
        version = await versions.get(self._db, order.assistant_version_id)
        ordinal = self._made.get(order.id, 0) + 1
        call = _rows(order, way, now, ordinal=ordinal)
        obstacle = await self._obstacle(order, way, version)
        return _Start(order, call, obstacle, recorded=version.spec.recording_enabled)

    async def _judge(self, order: CallOrder) -> tuple[Forbidden | HeldBack | None, Route | None]:
        """Return what keeps the order from going, and the way that it would take."""
        fact = _fact(await self._keeper.decide(order), self._now)
        dial_plan = await self._keeper.dial_plan(order.organization_id)
        return fact, dial_plan.route(order.from_phone_number, to=order.to_phone_number)

    async def _is_stopped_there(self, way: Route, order: CallOrder) -> bool:
        stopped = self._stops.get(way.trunk.id)
        if stopped is None:
            with self._db.no_autoflush:
                stopped = await pace.stopped_destinations(self._db, way.trunk.id)
            self._stops[way.trunk.id] = stopped
        return bool(stopped) and country_prefix(order.to_phone_number) in stopped

    async def _obstacle(
        self, order: CallOrder, way: Route | None, version: Version
    ) -> AttemptAbandoned | DialFailed | None:
        """Return why the attempt ends before it begins."""
        if way is None:
            return DialFailed(
                at=self._now,
                kind=DialFailureKind.BAD_REQUEST,
                sip_reason=no_way(order.to_phone_number),
            )
        key = order.organization_id, order.assistant_version_id
        if key not in self._missing:
            with self._db.no_autoflush:
                self._missing[key] = await missing_keys(self._db, key[0], version.spec)
        missing = self._missing[key]
        if not missing:
            return None
        # Nobody is called by an agent that could not speak; waiting would not help.
        return AttemptAbandoned(
            at=self._now, reason=Cause.PROVIDER_FAILED, detail=_no_key(missing), hopeless=True
        )

    async def _write(self, starts: Sequence[_Start]) -> None:
        self._db.add_all([each.call.session for each in starts])
        await self._db.flush()  # the others refer to them
        for each in starts:
            self._db.add_all((each.call.leg, each.call.attempt))
            if each.recorded and each.obstacle is None:
                self._db.add(Recording(session_id=each.call.id, state=RecordingState.SPOOLING))
        for each in starts:
            began = AttemptStarted(at=self._now)
            await lifecycle.apply(self._db, each.order, each.call, began)
            if each.obstacle is None:
                self.started.append(each.call)
            else:
                await lifecycle.apply(self._db, each.order, each.call, each.obstacle)


def _fact(decision: Decision, now: datetime) -> Forbidden | HeldBack | None:
    match decision:
        case Never(rule):
            return Forbidden(at=now, rule=rule)
        case Wait(until, rule):
            return HeldBack(at=now, until=until, rule=rule)
        case Go():
            return None


def _no_key(missing: Sequence[Provider]) -> str:
    remedies = " and ".join(f"`offhook provider set {name}`" for name in missing)
    return f"no key for {', '.join(missing)}: run {remedies}, then order the call again"


def _rows(order: CallOrder, way: Route | None, now: datetime, *, ordinal: int) -> Call:
    session_id = new_id()
    speaker = Speaker(
        assistant_id=order.assistant_id,
        version=order.assistant_version,
        version_id=order.assistant_version_id,
        prompt_variables=order.prompt_variables,
        metadata=order.call_metadata,
    )
    person = Person(
        kind=LegKind.CALLEE,
        identity=participant_identity(session_id),
        to_phone_number=order.to_phone_number,
        from_phone_number=way.from_phone_number if way is not None else "",
        trunk_id=way.trunk.id if way is not None else None,
    )
    session, leg = begin(
        session_id,
        order.organization_id,
        speaker,
        person,
        room_name=room_name(session_id),
        status=AttemptStatus.QUEUED,
        epoch=order.epoch,
        now=now,
        dispatch_lease_until=now + leases.LEASE,
    )
    attempt = Attempt(session_id=session_id, order_id=order.id, ordinal=ordinal, counted=True)
    return Call(session, leg, attempt)
