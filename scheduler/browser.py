"""Browser sessions that need an agent: their rooms open, and one is sent; lost ones are replaced.

Rows first: a session is claimed, and its earlier agents shut out, before LiveKit is asked. Who dies
in between leaves a claim that lapses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.browser import repository
from control_plane.compliance import repository as compliance
from control_plane.compliance import suspended
from control_plane.db.base import read_clock
from control_plane.db.engine import Database, wake
from control_plane.domain.brief import AGENT_NAME
from control_plane.domain.browser import (
    ROOM_STAYS_S,
    AskAgain,
    GiveUp,
    SendAgent,
    Stay,
    Waiting,
    judge,
)
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.gate import Rule
from control_plane.domain.transitions import AgentSent, AttemptAbandoned, Fact
from control_plane.domain.waiting import Cause
from control_plane.keys.tokens import TokenSigner
from control_plane.sessions import browsers, leases, lifecycle
from control_plane.sessions.calls import Call
from process.logs import get_logger
from scheduler.prepare import ASK_AGAIN_S, dispatch_metadata
from scheduler.rooms import Rooms, RoomTrouble

_AT_ONCE = 20
_ASK_AGAIN = timedelta(seconds=ASK_AGAIN_S)
_AGAIN = timedelta(seconds=1)
"""How soon LiveKit is asked again when it did not answer."""
log = get_logger(__name__)


class Opener:
    """Opens browser sessions, and looks after those in which nobody has spoken."""

    def __init__(
        self, database: Database, rooms: Rooms, signer: TokenSigner, *, ready_timeout_s: float
    ):
        self._database = database
        self._rooms = rooms
        self._signer = signer
        self._ready_within = timedelta(seconds=ready_timeout_s)
        self._asked_at: dict[str, datetime] = {}

    async def open_due(self) -> timedelta | None:
        """Send an agent to each session that is due; return how long until the next one is."""
        while calls := await self._claim():
            await asyncio.gather(*(self._open(call) for call in calls))
        async with self._database.reading() as db:
            now = await read_clock(db)
            then = await repository.next_due(db, now=now)
        return then - now if then is not None else None

    async def check(self) -> None:
        """Replace agents that were lost or have left, and give up what nothing will come of."""
        async with self._database.reading() as db:
            now = await read_clock(db)
            waiting = await repository.waiting(db)
        there = {call.id for call in waiting}
        self._asked_at = {key: at for key, at in self._asked_at.items() if key in there}
        for call in waiting:
            try:
                await self._check(call, now)
            except RoomTrouble as exc:
                log.warning("a room cannot be looked into", session_id=call.id, error=exc)
            except StaleEpoch:
                log.debug("another process was faster", session_id=call.id)

    async def _claim(self) -> list[Call]:
        """Return due sessions whose earlier agents are shut out; nobody else has them."""
        async with self._database.reading() as db:
            if not await repository.is_due(db, now=await read_clock(db)):
                return []
        mine = []
        async with self._database.transaction() as db:
            now = await read_clock(db)
            for call in await repository.due(db, now=now, limit=_AT_ONCE):
                refusal = await _refusal(db, call, now)
                if refusal is not None:
                    await lifecycle.apply(db, call, refusal)
                    continue
                if _is_there(call, now):  # whoever sent it did not live to write that down
                    await lifecycle.apply(db, call, AgentSent(at=now))
                    continue
                browsers.start_anew(call)
                call.session.due_at = call.session.dispatch_lease_until = now + leases.LEASE
                mine.append(call)
        return mine

    async def _open(self, call: Call) -> None:
        try:
            await self._send_agent(call)
        except RoomTrouble as exc:
            log.warning("a session cannot be opened yet", session_id=call.id, error=exc)
            await self._apply(call, self._put_off)
            return
        await self._apply(call, lambda _, now: AgentSent(at=now))

    async def _send_agent(self, call: Call) -> None:
        """Have the session's room made, unless it is there, and an agent sent to it."""
        await self._rooms.open(
            call.session.room_name,
            agent_name=AGENT_NAME,
            metadata=dispatch_metadata(
                self._signer, call, ready_within=self._ready_within, room_stays=True
            ),
            departure_timeout_s=ROOM_STAYS_S,
        )

    def _put_off(self, row: Call, now: datetime) -> Fact | None:
        session = row.session
        opened_at = session.scheduled_at or session.created_at
        if now - opened_at > self._ready_within:
            return AttemptAbandoned(at=now, reason=Cause.LIVEKIT_UNAVAILABLE)
        session.due_at, session.dispatch_lease_until = now + _AGAIN, None
        return None

    async def _check(self, call: Call, now: datetime) -> None:
        seen = await self._seen(call, now)
        verdict = judge(seen)
        if isinstance(verdict, Stay):
            return
        log.info("a session needs something", session_id=call.id, verdict=type(verdict).__name__)
        if isinstance(verdict, AskAgain):
            self._asked_at[call.id] = now
            await self._send_agent(call)
            return
        await self._apply(call, lambda row, at: _acted(row, verdict, at))

    async def _seen(self, call: Call, now: datetime) -> Waiting:
        session = call.session
        lease, sent_at = session.call_lease_until, session.agent_sent_at
        asked_at = self._asked_at.get(call.id, sent_at)
        reports = lease is not None and lease > now
        left = session.agent_ended_at is not None
        present = []
        if left or (lease is not None and not reports):
            present = await self._rooms.who(session.room_name)
        return Waiting(
            agent_reports=reports,
            agent_reported=lease is not None,
            agent_left=left,
            agent_there=any(each.is_agent for each in present),
            person_there=any(each.identity == call.leg.participant_identity for each in present),
            agent_unheard=session.brief_taken_at is None
            and asked_at is not None
            and asked_at + _ASK_AGAIN <= now,
            agent_late=sent_at is not None and sent_at + self._ready_within <= now,
            token_over=session.token_until is not None and session.token_until <= now,
        )

    async def _apply(self, call: Call, decide: Callable[[Call, datetime], Fact | None]) -> None:
        """Write what `decide` says of the session, unless somebody else has it by now."""
        try:
            async with self._database.transaction() as db:
                _, row = await leases.lock(db, call.id, epoch=call.session.epoch)
                fact = decide(row, await read_clock(db))
                if fact is not None:
                    await lifecycle.apply(db, row, fact)
                wake(db)
        except StaleEpoch:
            log.warning("a session was taken over by another process", session_id=call.id)


def _acted(row: Call, verdict: SendAgent | GiveUp, now: datetime) -> Fact | None:
    session = row.session
    if session.closed_at is not None or session.answered_at is not None:
        return None
    if isinstance(verdict, SendAgent):
        session.due_at = now
        return None
    return AttemptAbandoned(at=now, reason=verdict.reason)


async def _refusal(db: AsyncSession, call: Call, now: datetime) -> AttemptAbandoned | None:
    """Return why a session that was asked for before may not be opened now."""
    session = call.session
    if await suspended.suspended_of(db, [session.organization_id]):
        return AttemptAbandoned(at=now, reason=Rule.ORGANIZATION_SUSPENDED)
    key = session.api_key_id or ""
    if key and await compliance.spent_until(db, [key], now):
        return AttemptAbandoned(at=now, reason=Rule.SPEND_CAP)
    return None


def _is_there(call: Call, now: datetime) -> bool:
    """Return whether the agent sent last reports."""
    lease = call.session.call_lease_until
    return call.session.dispatch_lease_until is not None and lease is not None and lease > now
