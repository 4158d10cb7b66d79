"""The reconciler: what the rows say of live attempts against what the rooms show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.heartbeats import API, alive
from control_plane.domain import attempt as attempts
from control_plane.domain.brief import Direction
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.reconcile import (
    Abandon,
    End,
    Fail,
    Leave,
    MarkAnswered,
    Renew,
    Seen,
    Verdict,
    judge,
)
from control_plane.domain.transitions import (
    AttemptAbandoned,
    ConversationEnded,
    DialAnswered,
    DialFailed,
    Fact,
)
from control_plane.orders import lifecycle, repository
from control_plane.sessions import leases
from control_plane.sessions.calls import Call
from control_plane.sessions.settings import spec_of
from process import crash_points
from process.logs import get_logger
from scheduler.rooms import Present, Rooms, RoomTrouble

OVERTIME = timedelta(seconds=10)
"""How far past its own limit an agent may be before its call is ended for it."""

SECOND_LOOK = timedelta(seconds=1)
"""How soon a silent agent is looked for again; LiveKit shows a dead one for a while."""

MUTE = timedelta(seconds=5)
"""How long past its lease an agent may be silent while the API takes everybody's events."""

log = get_logger(__name__)


class Reconciler:
    """Looks into attempts whose owner fell silent, and closes what is over."""

    def __init__(self, database: Database, rooms: Rooms):
        self._database = database
        self._rooms = rooms
        self._phone_missing: set[str] = set()
        self._silent: dict[str, tuple[int, datetime]] = {}

    async def reconcile_silent(self) -> None:
        """Judge the attempts whose lease has lapsed."""
        await self._reconcile(silent_only=True)

    async def reconcile(self) -> None:
        """Judge every live attempt once."""
        await self._reconcile(silent_only=False)

    async def _reconcile(self, *, silent_only: bool) -> None:
        async with self._database.reading() as db:
            now = await read_clock(db)
            live = await repository.open_calls(db)
            limits = await _limits(db, live)
            api_works = bool(live) and await alive(db, API, now=now)
        self._phone_missing &= {call.id for call in live}
        self._note_silence(live, now, api_works=api_works)
        for call in live:
            if silent_only and not _is_silent(call, now):
                continue
            try:
                await self._check(call, now, limits[call.id])
            except RoomTrouble as exc:
                log.warning("a room cannot be looked into", attempt_id=call.id, error=exc)
            except StaleEpoch:
                log.debug("another process was faster", attempt_id=call.id)

    def _note_silence(self, live: Sequence[Call], now: datetime, *, api_works: bool) -> None:
        """Remember since when each agent has been silent for no fault of the API's."""
        before, self._silent = self._silent, {}
        for call in live:
            # A second look lends a silent agent a moment, which is not a sign of life.
            if not api_works or not _is_silent(call, now + SECOND_LOOK):
                continue
            seq, since = before.get(call.id, (call.session.last_event_seq, now))
            since = since if seq == call.session.last_event_seq else now
            self._silent[call.id] = (call.session.last_event_seq, since)

    def _is_mute(self, call: Call, now: datetime) -> bool:
        noted = self._silent.get(call.id)
        return noted is not None and noted[1] + MUTE <= now

    async def end_ongoing(self) -> None:
        """Close every answered call: the SIP service is gone, and with it every phone."""
        async with self._database.reading() as db:
            live = await repository.open_calls(db)
        for call in live:
            if call.session.status is attempts.AttemptStatus.ONGOING and not call.in_browser:
                try:
                    await self._act(call, End(EndReason.SIP_SERVICE_LOST))
                except StaleEpoch:
                    log.debug("another process was faster", attempt_id=call.id)

    async def _check(self, call: Call, now: datetime, limit: timedelta) -> None:
        if call.session.handed_over_at is not None:
            return  # it goes on without its agent (`talks.TalkWatch`)
        lease = call.session.dispatch_lease_until
        if lease is not None and lease > now:
            return
        present = await self._rooms.who(call.session.room_name)
        seen = _seen(
            call,
            present,
            now,
            limit=limit,
            missing_before=self._missing_before(call, present),
            mute=self._is_mute(call, now),
        )
        verdict = judge(seen)
        if isinstance(verdict, Leave):
            return
        await self._act(call, verdict)

    def _missing_before(self, call: Call, present: list[Present]) -> bool:
        """Return whether the person's participant was absent at the last look too."""
        if any(each.identity == call.leg.participant_identity for each in present):
            self._phone_missing.discard(call.id)
            return False
        before = call.id in self._phone_missing
        self._phone_missing.add(call.id)
        return before

    async def _act(self, call: Call, verdict: Verdict) -> None:
        async with self._database.transaction() as db:
            order, row = await leases.lock(db, call.id, epoch=call.session.epoch)
            now = await read_clock(db)
            if row.session.closed_at is not None:
                return
            if isinstance(verdict, Renew):
                row.session.call_lease_until = now + SECOND_LOOK
                return
            spoke = isinstance(verdict, End) and await repository.person_spoke(db, row.id)
            fact = _fact(verdict, now, spoke=spoke)
            if not isinstance(verdict, MarkAnswered):
                if _owner_is_dead(verdict):
                    leases.take_over(row)
                log.warning(
                    "an attempt was closed for its owner",
                    attempt_id=row.id,
                    verdict=type(verdict).__name__,
                    reason=getattr(verdict, "reason", None),
                )
            await lifecycle.apply(db, order, row, fact)
            crash_points.here("before_close_commit")


async def _limits(db: AsyncSession, calls: Sequence[Call]) -> dict[str, timedelta]:
    """Return how long each call may last."""
    found = {}
    for call in calls:
        version = await versions.get(db, call.session.assistant_version_id)
        spec = spec_of(call.session, version.spec)
        found[call.id] = timedelta(seconds=spec.max_call_duration_secs)
    return found


def _is_silent(call: Call, now: datetime) -> bool:
    """Return whether the agent had a lease and let it lapse."""
    return call.session.call_lease_until is not None and call.session.call_lease_until <= now


def _owner_is_dead(verdict: Verdict) -> bool:
    """Return whether the owner must be shut out; a living agent may still send its last words."""
    return not isinstance(verdict, End) or verdict.reason is EndReason.AGENT_LOST


def _seen(
    call: Call,
    present: list[Present],
    now: datetime,
    *,
    limit: timedelta,
    missing_before: bool,
    mute: bool,
) -> Seen:
    phone = next((p for p in present if p.identity == call.leg.participant_identity), None)
    session = call.session
    return Seen(
        status=attempts.AttemptStatus(session.status),
        inbound=session.direction is Direction.INBOUND,
        in_browser=call.in_browser,
        agent_in_room=any(each.is_agent for each in present),
        agent_silent=session.call_lease_until is None or _is_silent(call, now),
        agent_mute=mute,
        agent_ended=session.agent_ended_at is not None,
        phone_status=phone.call_status if phone is not None else None,
        phone_missing_before=missing_before,
        overdue=session.answered_at is not None and session.answered_at + limit + OVERTIME < now,
    )


def _fact(verdict: Verdict, now: datetime, *, spoke: bool) -> Fact:
    match verdict:
        case MarkAnswered():
            return DialAnswered(at=now)
        case Abandon(reason):
            return AttemptAbandoned(at=now, reason=reason)
        case Fail(kind):
            return DialFailed(at=now, kind=DialFailureKind(kind))
        case End(reason):
            return ConversationEnded(
                at=now,
                ended_by=EndedBy.SYSTEM,
                end_reason=EndReason(reason),
                result=AttemptResult.HUMAN if spoke else AttemptResult.UNKNOWN,
            )
        case _:
            raise TypeError(f"{verdict} asks for nothing")
