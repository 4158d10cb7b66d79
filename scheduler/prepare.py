"""Before the dial: a room with an agent in it that has reported ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial

import msgspec
from sqlalchemy import select

from control_plane.db.engine import Database
from control_plane.db.models.session import Session
from control_plane.domain.brief import AGENT_NAME, DispatchMetadata
from control_plane.domain.waiting import Cause
from control_plane.keys.tokens import Scope, TokenSigner
from control_plane.sessions.calls import Call
from control_plane.sessions.leases import LEASE
from process import crash_points
from process.logs import get_logger
from scheduler.rooms import Rooms, RoomTrouble

log = get_logger(__name__)

_SWEEP_S = 1.0
ASK_AGAIN_S = 4.0
"""After which an agent is asked for once more, when none has taken the call's brief: an agent
that was found takes it at once, on a busy machine within a second or two."""
_REST_S = 0.02
"""Between two looks: many changes are no agent's readiness."""


class NotReady(Exception):
    """No agent is ready for the call; `reason` is what the order's history says."""

    def __init__(self, reason: Cause):
        super().__init__(reason)
        self.reason = reason


class _State(Enum):
    ASKED = auto()  # as far as is known, no agent has heard of it
    COMING = auto()
    READY = auto()
    GAVE_UP = auto()


def dispatch_metadata(
    signer: TokenSigner, call: Call, *, ready_within: timedelta, room_stays: bool = False
) -> str:
    """Return what an agent is sent with: a token that opens the call's brief, once."""
    epoch = call.session.epoch
    token = signer.issue(Scope.BRIEF, call.id, epoch=epoch, ttl=ready_within + LEASE)
    metadata = DispatchMetadata(token=token, attempt_id=call.id, epoch=epoch, room_stays=room_stays)
    return msgspec.json.encode(metadata).decode()


class Preparer:
    """Makes rooms and waits for their agents."""

    def __init__(
        self, database: Database, rooms: Rooms, signer: TokenSigner, *, ready_timeout_s: float
    ):
        self._database = database
        self._rooms = rooms
        self._signer = signer
        self._ready_timeout_s = ready_timeout_s
        self._waiting: set[str] = set()
        self._states: dict[str, _State] = {}
        self._looking = asyncio.Lock()
        self._looked_at = -1

    async def prepare(self, call: Call) -> None:
        """Return once the attempt's agent is ready.

        Raises:
            NotReady: it is not within the limit, it gave up, or LiveKit is not there.
        """
        ready_within = timedelta(seconds=self._ready_timeout_s)
        ask = partial(
            self._rooms.open,
            call.session.room_name,
            agent_name=AGENT_NAME,
            metadata=dispatch_metadata(self._signer, call, ready_within=ready_within),
        )
        try:
            await ask()
        except RoomTrouble as exc:
            raise NotReady(Cause.LIVEKIT_UNAVAILABLE) from exc
        crash_points.here("after_room_open")
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await self._ready(call.id, ask)
        except TimeoutError as exc:
            raise NotReady(Cause.AGENT_NOT_READY) from exc
        crash_points.here("after_ready")

    async def _ready(self, attempt_id: str, ask: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        self._waiting.add(attempt_id)
        try:
            while True:
                heard = self._database.changes.count
                state = await self._state(attempt_id, heard)
                if state is _State.GAVE_UP:
                    raise NotReady(Cause.AGENT_GAVE_UP)
                if state is _State.READY:
                    return
                if state is _State.ASKED and clock() >= asked_at + ASK_AGAIN_S:
                    log.warning("no agent came yet: asking again", attempt_id=attempt_id)
                    with suppress(RoomTrouble):
                        await ask()
                    asked_at = clock()
                await asyncio.sleep(_REST_S)
                await self._database.changes.wait(since=heard, timeout_s=_SWEEP_S)
        finally:
            self._waiting.discard(attempt_id)
            self._states.pop(attempt_id, None)

    async def _state(self, attempt_id: str, heard: int) -> _State:
        """Return how far an agent is; the first who asks after a change looks for all who wait."""
        async with self._looking:
            if self._looked_at < heard or attempt_id not in self._states:
                self._looked_at = self._database.changes.count
                async with self._database.reading() as db:
                    rows = await db.execute(
                        select(
                            Session.id,
                            Session.brief_taken_at,
                            Session.agent_ready_at,
                            Session.agent_ended_at,
                            Session.closed_at,
                        ).where(Session.id.in_(self._waiting))
                    )
                    for key, *marks in rows:
                        self._states[key] = _state_of(*marks)
            return self._states[attempt_id]


def _state_of(
    taken_at: datetime | None,
    ready_at: datetime | None,
    ended_at: datetime | None,
    closed_at: datetime | None,
) -> _State:
    if ended_at is not None or closed_at is not None:
        return _State.GAVE_UP
    if ready_at is not None:
        return _State.READY
    return _State.ASKED if taken_at is None else _State.COMING
