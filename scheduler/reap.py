"""The reconciler: what the rows say of live attempts against what the rooms show."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.heartbeats import API, alive
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain import attempt as attempts
from control_plane.domain.brief import Direction
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.facts import (
    AnyFact,
    AttemptAbandoned,
    ConversationEnded,
    DialAnswered,
    DialFailed,
)
from control_plane.domain.reconcile import (
    Abandon,
    Answer,
    End,
    Fail,
    Leave,
    Renew,
    Seen,
    Verdict,
    judge,
)
from control_plane.orders import leases, lifecycle, repository
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

    async def look_at_silent(self) -> None:
        """Judge the attempts whose lease has lapsed."""
        await self._look(silent_only=True)

    async def look(self) -> None:
        """Judge every live attempt once."""
        await self._look(silent_only=False)

    async def _look(self, *, silent_only: bool) -> None:
        async with self._database.reading() as session:
            now = await read_clock(session)
            live = await repository.open_attempts(session)
            limits = await _limits(session, [order for _attempt, order in live])
            api_works = bool(live) and await alive(session, API, now=now)
        self._phone_missing &= {attempt.id for attempt, _order in live}
        self._note_silence([attempt for attempt, _order in live], now, api_works=api_works)
        for attempt, order in live:
            if silent_only and not _is_silent(attempt, now):
                continue
            try:
                await self._look_at(attempt, order, now, limits[order.id])
            except RoomTrouble as exc:
                log.warning("a room cannot be looked into", attempt_id=attempt.id, error=exc)
            except StaleEpoch:
                log.debug("another process was faster", attempt_id=attempt.id)

    def _note_silence(self, live: list[Attempt], now: datetime, *, api_works: bool) -> None:
        """Remember since when each agent has been silent for no fault of the API's."""
        before, self._silent = self._silent, {}
        for attempt in live:
            # A second look lends a silent agent a moment, which is not a sign of life.
            if not api_works or not _is_silent(attempt, now + SECOND_LOOK):
                continue
            seq, since = before.get(attempt.id, (attempt.last_event_seq, now))
            since = since if seq == attempt.last_event_seq else now
            self._silent[attempt.id] = (attempt.last_event_seq, since)

    def _is_mute(self, attempt: Attempt, now: datetime) -> bool:
        noted = self._silent.get(attempt.id)
        return noted is not None and noted[1] + MUTE <= now

    async def end_ongoing(self) -> None:
        """Close every answered call: the SIP service is gone, and with it every far end."""
        async with self._database.reading() as session:
            live = await repository.open_attempts(session)
        for attempt, _order in live:
            if attempt.status is attempts.AttemptStatus.ONGOING:
                try:
                    await self._act(attempt, End(EndReason.SIP_SERVICE_LOST))
                except StaleEpoch:
                    log.debug("another process was faster", attempt_id=attempt.id)

    async def _look_at(
        self, attempt: Attempt, order: CallOrder, now: datetime, limit: timedelta
    ) -> None:
        if attempt.dispatch_lease_until is not None and attempt.dispatch_lease_until > now:
            return
        present = await self._rooms.who(attempt.room_name)
        seen = _seen(
            attempt,
            order,
            present,
            now,
            limit=limit,
            missing_before=self._missing_before(attempt, present),
            mute=self._is_mute(attempt, now),
        )
        verdict = judge(seen)
        if isinstance(verdict, Leave):
            return
        await self._act(attempt, verdict)

    def _missing_before(self, attempt: Attempt, present: list[Present]) -> bool:
        """Return whether the person's participant was absent at the last look too."""
        if any(each.identity == attempt.participant_identity for each in present):
            self._phone_missing.discard(attempt.id)
            return False
        before = attempt.id in self._phone_missing
        self._phone_missing.add(attempt.id)
        return before

    async def _act(self, attempt: Attempt, verdict: Verdict) -> None:
        async with self._database.transaction() as session:
            order, row = await leases.hold(session, attempt.id, epoch=attempt.epoch)
            now = await read_clock(session)
            if row.closed_at is not None:
                return
            if isinstance(verdict, Renew):
                row.call_lease_until = now + SECOND_LOOK
                return
            spoke = isinstance(verdict, End) and await repository.person_spoke(session, row.id)
            fact = _fact(verdict, now, spoke=spoke)
            if not isinstance(verdict, Answer):
                if _owner_is_dead(verdict):
                    leases.take_over(row)
                log.warning(
                    "an attempt was closed for its owner",
                    attempt_id=row.id,
                    verdict=type(verdict).__name__,
                    reason=getattr(verdict, "reason", None),
                )
            await lifecycle.apply(session, order, row, fact)
            crash_points.here("before_close_commit")


async def _limits(session: AsyncSession, orders: list[CallOrder]) -> dict[str, timedelta]:
    """Return how long each order's call may last."""
    found = {}
    for order in orders:
        version = await versions.get(session, order.assistant_version_id)
        found[order.id] = timedelta(seconds=version.spec.max_call_duration_secs)
    return found


def _is_silent(attempt: Attempt, now: datetime) -> bool:
    """Return whether the agent had a lease and let it lapse."""
    return attempt.call_lease_until is not None and attempt.call_lease_until <= now


def _owner_is_dead(verdict: Verdict) -> bool:
    """Return whether the owner must be shut out; a living agent may still send its last words."""
    return not isinstance(verdict, End) or verdict.reason is EndReason.AGENT_LOST


def _seen(
    attempt: Attempt,
    order: CallOrder,
    present: list[Present],
    now: datetime,
    *,
    limit: timedelta,
    missing_before: bool,
    mute: bool,
) -> Seen:
    phone = next((p for p in present if p.identity == attempt.participant_identity), None)
    return Seen(
        status=attempts.AttemptStatus(attempt.status),
        inbound=order.direction is Direction.INBOUND,
        agent_in_room=any(each.is_agent for each in present),
        agent_silent=attempt.call_lease_until is None or _is_silent(attempt, now),
        agent_mute=mute,
        agent_ended=attempt.agent_ended_at is not None,
        phone_status=phone.call_status if phone is not None else None,
        phone_missing_before=missing_before,
        overdue=attempt.answered_at is not None and attempt.answered_at + limit + OVERTIME < now,
    )


def _fact(verdict: Verdict, now: datetime, *, spoke: bool) -> AnyFact:
    match verdict:
        case Answer():
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
