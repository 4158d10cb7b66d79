"""Humans whom people are passed on to are called into the person's room, each at most once.

What holds for every call of the trunk holds for them: its pace, its limit of calls, its faults, the
countries and the numbers that may be called. Calling windows and caps of attempts do not: somebody
asks for the human now, and they are a colleague.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import Trunk
from control_plane.domain.dial_errors import DialFailureKind as Kind
from control_plane.domain.dial_errors import cause_of, meaning
from control_plane.domain.human_leg import (
    TALK_LIMIT,
    HumanResult,
    result_of,
)
from control_plane.domain.transfer_targets import RINGING_S
from control_plane.domain.transitions import DialFailed
from control_plane.sessions import humans, leases
from control_plane.sessions.calls import Call
from control_plane.trunks import pace
from process.logs import get_logger
from scheduler.clock import Clock, WallClock
from scheduler.human_line import Never, find
from scheduler.rooms import Rooms, RoomTrouble
from sip.ports import Answered, Dialer, DialFailure, DialFailureKind, DialRequest, TooLate

log = get_logger(__name__)
_PROMPT = leases.LEASE / 4
"""How soon after its mark an INVITE leaves, or not at all."""


class HumanDialer:
    """Dials legs of humans, each in a task of its own; `held` are those of this process."""

    def __init__(
        self,
        database: Database,
        *,
        rooms: Rooms,
        dialer: Dialer,
        tasks: asyncio.TaskGroup,
        clock: Clock = WallClock(),  # noqa: B008 - it has no state
    ):
        self._database = database
        self._rooms = rooms
        self._dialer = dialer
        self._tasks = tasks
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def held(self) -> frozenset[str]:
        """Return the legs whose lease this process must keep."""
        return frozenset(self._running)

    async def dial_due(self) -> None:
        """Set out on each leg that waits and that nobody has."""
        async with self._database.reading() as db:
            waiting = await humans.to_dial(db, await read_clock(db))
        for leg in waiting:
            if leg.id in self._running:
                continue
            async with self._database.transaction() as db:
                is_ours = await humans.claim(db, leg.id, await read_clock(db))
            if is_ours:
                task = self._tasks.create_task(self._guarded(leg), name=leg.participant_identity)
                self._running[leg.id] = task
                task.add_done_callback(partial(self._release, leg.id))

    async def beat(self) -> None:
        """Keep what this process dials."""
        if self._running:
            async with self._database.transaction() as db:
                await humans.renew(db, self.held, now=await read_clock(db))

    async def finish(self, limit_s: float) -> None:
        """Let dials that are under way end; what outlasts `limit_s` is looked into later."""
        if self._running:
            _done, late = await asyncio.wait(self._running.values(), timeout=limit_s)
            for task in late:
                task.cancel()

    def _release(self, leg_id: str, _task: asyncio.Task[None]) -> None:
        del self._running[leg_id]

    async def _guarded(self, leg: Leg) -> None:
        try:
            await self.carry_out(leg.session_id, leg.id)
        except Exception:  # the one handler of this task; the lease lapses and is looked into
            log.exception("calling a human broke down", attempt_id=leg.session_id)

    async def carry_out(self, session_id: str, leg_id: str) -> None:
        """Take one leg from its claim to the dial's result."""
        request = await self.mark(session_id, leg_id)
        if request is not None:
            await self.place(session_id, leg_id, request)

    async def place(self, session_id: str, leg_id: str, request: DialRequest) -> None:
        """Place the call that was marked as begun, and write down what came of it."""
        result = TooLate() if await self._is_late(leg_id) else await self._dialer.dial(request)
        match result:
            case Answered(sip_call_id):
                await self.answered(session_id, leg_id, sip_call_id)
            case TooLate():
                late = DialFailure(
                    kind=DialFailureKind.SERVICE_UNAVAILABLE, sip_reason="our INVITE was too late"
                )
                await self._failed(session_id, leg_id, late)
            case DialFailure():
                if result.unknown and await self._still_there(request):
                    return  # it may yet be answered: its lease lapses, and it is looked into
                await self._failed(session_id, leg_id, result)

    async def mark(self, session_id: str, leg_id: str) -> DialRequest | None:
        """Return the dial, marked as begun; null when there is none."""
        while True:
            async with self._database.transaction() as db:
                order, call = await leases.lock(db, session_id, epoch=None)
                owner, now = order or call.session, await read_clock(db)
                leg = await humans.open_of(db, session_id)
                if leg is None or leg.id != leg_id or leg.dialing_at is not None:
                    return None
                if call.session.closed_at is not None:
                    humans.give_up(db, owner, call, leg, HumanResult.CALLER_LEFT, now=now)
                    return None
                found = await find(db, call, leg, now)
                if isinstance(found, Never):
                    humans.give_up(db, owner, call, leg, found.result, now=now, rule=found.rule)
                    return None
                if isinstance(found, Trunk):
                    leg.dialing_at, leg.lease_until = now, now + leases.LEASE
                    return _request(call, leg, found, self._clock.now() + _PROMPT.total_seconds())
            await self._clock.wait(found.wait / timedelta(seconds=1))

    async def _is_late(self, leg_id: str) -> bool:
        """Return whether this process stood still since the mark: others may have given up."""
        async with self._database.reading() as db:
            marked_at = (await db.get_one(Leg, leg_id)).dialing_at
            return marked_at is None or await read_clock(db) - marked_at > _PROMPT

    async def answered(self, session_id: str, leg_id: str, sip_call_id: str) -> None:
        """Hand the call over, or have them asked first.

        Who answers when nobody waits for them any more is hung up.
        """
        async with self._database.transaction() as db:
            order, call = await leases.lock(db, session_id, epoch=None)
            leg, now = await humans.open_of(db, session_id), await read_clock(db)
            is_over, room_name = call.session.closed_at is not None, call.session.room_name
            if leg is not None and leg.id == leg_id:
                if leg.answered_at is not None:
                    return  # another process was faster
                leg.sip_call_id = sip_call_id or leg.sip_call_id
                if leg.trunk_id is not None:
                    await pace.took_the_call(db, leg.trunk_id)
                owner = order or call.session
                if not is_over:
                    humans.answered(db, owner, call, leg, now=now)
                    return
                humans.give_up(db, owner, call, leg, HumanResult.CALLER_LEFT, now=now)
        try:
            if is_over:
                await self._rooms.close(room_name)
            else:
                await self._rooms.put_out(room_name, humans.identity(leg_id))
        except RoomTrouble as exc:
            log.warning("a human waits in a room for nobody", attempt_id=session_id, error=exc)

    async def lost(self, session_id: str, leg_id: str) -> None:
        """Close a leg whose dial's result nobody knows, and of which the room shows nothing."""
        unknown = DialFailure(kind=DialFailureKind.OUTCOME_UNKNOWN)
        await self._failed(session_id, leg_id, unknown)

    async def _failed(self, session_id: str, leg_id: str, failure: DialFailure) -> None:
        log.info(
            "a human was not reached",
            attempt_id=session_id,
            kind=failure.kind,
            sip_status=failure.sip_status,
            pii_reason=failure.sip_reason,  # the far end may repeat whom it was to reach
        )
        async with self._database.transaction() as db:
            order, call = await leases.lock(db, session_id, epoch=None)
            leg, now = await humans.open_of(db, session_id), await read_clock(db)
            if leg is None or leg.id != leg_id or leg.answered_at is not None:
                return
            kind, status = Kind(failure.kind.value), failure.sip_status
            left = call.session.closed_at is not None and status is None
            leg.sip_status, leg.sip_reason = status, failure.sip_reason[:300] or None
            leg.dial_error = None if left else meaning(status, kind).dial_error
            if not left:  # else it failed because we closed its room
                fact = DialFailed(
                    at=now, kind=kind, sip_status=status, sip_reason=failure.sip_reason
                )
                policy = meaning(status, kind).policy
                await pace.report_failed_dial(db, leg, policy, fact, cause_of(status, kind))
            result = HumanResult.CALLER_LEFT if left else result_of(status, kind)
            humans.give_up(db, order or call.session, call, leg, result, now=now)

    async def _still_there(self, request: DialRequest) -> bool:
        try:
            present = await self._rooms.who(request.room_name)
        except RoomTrouble:
            return True  # not known, so nothing may be concluded
        return any(each.identity == request.participant_identity for each in present)


def _request(call: Call, leg: Leg, trunk: Trunk, dial_before: float) -> DialRequest:
    return DialRequest(
        sip_trunk_id=trunk.sip_trunk_id or "",
        to_number=leg.to_phone_number,
        from_number=leg.from_phone_number,
        room_name=call.session.room_name,
        participant_identity=leg.participant_identity,
        ringing_timeout_s=leg.ring_secs or RINGING_S,
        max_call_duration_s=round(TALK_LIMIT / timedelta(seconds=1)),
        dial_before=dial_before,
        held=leg.is_asked_first,
    )
