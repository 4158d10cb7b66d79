"""From a due order to an answered call: claim, prepare, the last gate, the dial, its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Trunk
from control_plane.domain.assistant import AssistantSpec, humans_of
from control_plane.domain.dial_errors import DialFailureKind as Kind
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.gate import Go
from control_plane.domain.human_leg import TALK_LIMIT
from control_plane.domain.transitions import (
    AttemptAbandoned,
    DialAnswered,
    DialFailed,
    DialStarted,
    Fact,
)
from control_plane.domain.waiting import Cause
from control_plane.orders import lifecycle
from control_plane.orders.gatekeeper import Gatekeeper
from control_plane.sessions import leases
from control_plane.sessions.calls import Call
from control_plane.trunks import pace
from control_plane.trunks.routing import DialPlans
from process import crash_points
from process.logs import get_logger
from scheduler.claim import claim, load_lanes
from scheduler.clock import Clock, WallClock
from scheduler.prepare import NotReady, Preparer
from scheduler.rooms import Rooms, RoomTrouble
from scheduler.trunks import TrunkKeeper
from sip.ports import Answered, Dialer, DialFailure, DialFailureKind, DialRequest, TooLate

log = get_logger(__name__)

FactAt = Callable[[datetime], Fact]
_NOW = timedelta()
"""An INVITE that leaves even a moment early is not among those that the trunk remembers."""
_PROMPT_S = leases.LEASE.total_seconds() / 4
"""How soon after its mark an INVITE leaves, or not at all."""


def _longest_s(spec: AssistantSpec) -> int:
    """Return how long a call may be (s); a human may talk on when the agent has left."""
    more = TALK_LIMIT if humans_of(spec) else _NOW
    return spec.max_call_duration_secs + round(more / timedelta(seconds=1))


class Dispatcher:
    """Carries attempts out, each in a task of its own; `held` are those of this process."""

    def __init__(
        self,
        database: Database,
        *,
        rooms: Rooms,
        dialer: Dialer,
        preparer: Preparer,
        trunks: TrunkKeeper,
        tasks: asyncio.TaskGroup,
        ringing_timeout_s: int,
        max_dispatching: int,
        clock: Clock = WallClock(),  # noqa: B008 - it has no state
    ):
        self._database = database
        self._rooms = rooms
        self._dialer = dialer
        self._preparer = preparer
        self._trunks = trunks
        self._tasks = tasks
        self._ringing_timeout_s = ringing_timeout_s
        self._max_dispatching = max_dispatching
        self._clock = clock
        self._dial_plans = DialPlans()
        self._running: dict[str, asyncio.Task[None]] = {}
        self.next_due_in: timedelta | None = None
        """How long after the last pass time alone may bring an order; None: never."""

    @property
    def held(self) -> frozenset[str]:
        """Return the attempts whose dispatch lease this process must keep."""
        return frozenset(self._running)

    async def dispatch_due(self) -> None:
        """Claim what is due, as far as there is room for it, and set out on each."""
        while True:
            free = self._max_dispatching - len(self._running)
            seen = await load_lanes(self._database)
            self.next_due_in = seen.wait
            calls = await claim(self._database, limit=free, dial_plans=self._dial_plans, seen=seen)
            for call in calls:
                task = self._tasks.create_task(self._guarded(call), name=call.session.room_name)
                self._running[call.id] = task
                task.add_done_callback(partial(self._release, call.id))
            if not calls:
                return

    def _release(self, attempt_id: str, _task: asyncio.Task[None]) -> None:
        del self._running[attempt_id]
        self._database.changes.notify()  # there is room for another

    async def finish(self, limit_s: float) -> None:
        """Let dials that are under way end; what outlasts `limit_s` the reconciler takes over."""
        if self._running:
            _done, late = await asyncio.wait(self._running.values(), timeout=limit_s)
            for task in late:
                task.cancel()

    async def _guarded(self, call: Call) -> None:
        try:
            await self.carry_out(call)
        except StaleEpoch:
            log.warning("an attempt was taken over by another process", attempt_id=call.id)
            await self._hang_up(call)
        except Exception:  # the one handler of this task; the lease lapses and is looked into
            log.exception("an attempt broke down", attempt_id=call.id)

    async def _hang_up(self, call: Call) -> None:
        """Leave nobody on a line that no agent will join: a late dial made the room anew."""
        try:
            await self._rooms.close(call.session.room_name)
        except RoomTrouble as exc:
            log.warning("a room was not deleted", attempt_id=call.id, error=exc)

    async def carry_out(self, call: Call) -> None:
        """Take one attempt from its room to the dial's result.

        Raises:
            StaleEpoch: somebody else has taken it over; nothing was written since.
        """
        try:
            sip_trunk_id = await self._trunk_id(call)
            await self._preparer.prepare(call)
            request = await self._pass_last_gate(call, sip_trunk_id)
        except NotReady as exc:
            reason = exc.reason
            await self._apply(call, lambda now: AttemptAbandoned(at=now, reason=reason))
            return
        if request is None:
            return
        crash_points.here("after_mark_before_invite")
        result = await self._dialer.dial(request)
        match result:
            case Answered(sip_call_id):
                crash_points.here("after_answer_before_record")
                await self._apply(call, lambda now: DialAnswered(at=now, sip_call_id=sip_call_id))
            case TooLate():
                await self._abandon_late(call)
            case DialFailure():
                crash_points.here("after_invite_before_record")
                await self._failed(call, result)

    async def _trunk_id(self, call: Call) -> str:
        """Return what the SIP service calls the attempt's trunk, as far as it has it.

        It may be a second old: the last gate looks again.
        """
        async with self._database.reading() as db:
            dial_plan = await self._dial_plans.get(
                db, call.session.organization_id, await read_clock(db)
            )
        for trunk in dial_plan.trunks:
            if trunk.id == call.leg.trunk_id and trunk.sip_trunk_id is not None:
                return trunk.sip_trunk_id
        for applied_now in (False, True):
            async with self._database.reading() as db:
                row = await db.get_one(Trunk, call.leg.trunk_id)
            if row.sip_trunk_id is not None:
                return row.sip_trunk_id
            if not applied_now:
                await self._trunks.apply()
        raise NotReady(Cause.TRUNK_NOT_APPLIED)

    async def _pass_last_gate(self, call: Call, sip_trunk_id: str) -> DialRequest | None:
        """Return the dial, marked as begun; None when the order may not be dialled after all.

        The INVITE's instant is reserved on the trunk first. Whoever cancels before the mark is
        written is told the truth: no INVITE follows.
        """
        while True:
            async with self._database.transaction() as db:
                order, row = await leases.lock_ordered(db, call.id, epoch=call.session.epoch)
                now, here = await read_clock(db), self._clock.now()
                early = await pace.time_to_invite(db, row.leg, now)
                if early <= _NOW:
                    request = await self._mark(
                        db,
                        order,
                        row,
                        now,
                        sip_trunk_id=sip_trunk_id,
                        dial_before=here + _PROMPT_S,
                    )
                    crash_points.here("before_mark_commit")
                    break
            await self._clock.wait(early / timedelta(seconds=1))
        if request is not None and await self._is_late(now):
            await self._abandon_late(call)
            return None
        return request

    async def _is_late(self, marked_at: datetime) -> bool:
        """Return whether this process stood still since the mark.

        Others may soon take the attempt for lost, and dial the order again. A SIP service that
        knows `dial_before` looks once more, right before the INVITE.
        """
        async with self._database.reading() as db:
            return await read_clock(db) - marked_at > timedelta(seconds=_PROMPT_S)

    async def _abandon_late(self, call: Call) -> None:
        await self._apply(call, lambda now: AttemptAbandoned(at=now, reason=Cause.SCHEDULER_LOST))

    async def _mark(
        self,
        db: AsyncSession,
        order: CallOrder,
        row: Call,
        now: datetime,
        *,
        sip_trunk_id: str,
        dial_before: float,
    ) -> DialRequest | None:
        keeper = Gatekeeper(db, now, self._dial_plans)
        with db.no_autoflush:  # the gate asks nothing of what was just changed
            await keeper.prepare([order])
            decision = await keeper.decide(order)
        if not isinstance(decision, Go):
            abandoned = AttemptAbandoned(at=now, reason=decision.rule, gate=decision)
            await lifecycle.apply(db, order, row, abandoned)
            return None
        if row.session.agent_ended_at is not None:
            gave_up = AttemptAbandoned(at=now, reason=Cause.AGENT_GAVE_UP)
            await lifecycle.apply(db, order, row, gave_up)
            return None
        row.session.dispatch_lease_until = now + leases.LEASE
        await lifecycle.apply(db, order, row, DialStarted(at=now))
        version = await versions.get(db, order.assistant_version_id)
        trunk = await db.get_one(Trunk, row.leg.trunk_id)  # read with its pace a moment ago
        return DialRequest(
            sip_trunk_id=trunk.sip_trunk_id or sip_trunk_id,
            to_number=row.leg.to_phone_number,
            from_number=row.leg.from_phone_number,
            room_name=row.session.room_name,
            participant_identity=row.leg.participant_identity,
            ringing_timeout_s=self._ringing_timeout_s,
            max_call_duration_s=_longest_s(version.spec),
            dial_before=dial_before,
        )

    async def _failed(self, call: Call, failure: DialFailure) -> None:
        log.info(
            "a dial failed",
            attempt_id=call.id,
            kind=failure.kind,
            sip_status=failure.sip_status,
            pii_reason=failure.sip_reason,  # the far end may repeat whom it was to reach
        )
        if failure.kind is DialFailureKind.TRUNK_MISSING:
            await self._trunks.apply(check_all=True)
        if failure.unknown and await self._still_there(call):
            return  # it may yet be answered: its lease lapses, and the reconciler looks again
        await self._apply(
            call,
            lambda now: DialFailed(
                at=now,
                kind=Kind(failure.kind.value),
                sip_status=failure.sip_status,
                sip_reason=failure.sip_reason,
            ),
        )

    async def _still_there(self, call: Call) -> bool:
        try:
            present = await self._rooms.who(call.session.room_name)
        except RoomTrouble:
            return True  # not known, so nothing may be concluded
        return any(each.identity == call.leg.participant_identity for each in present)

    async def _apply(self, call: Call, fact: FactAt) -> None:
        async with self._database.transaction() as db:
            order, row = await leases.lock_ordered(db, call.id, epoch=call.session.epoch)
            await lifecycle.apply(db, order, row, fact(await read_clock(db)))
            crash_points.here("before_record_commit")
