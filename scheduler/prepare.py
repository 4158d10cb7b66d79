"""Before the dial: a room with an agent in it that has reported ready."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec

from control_plane.db.engine import Database
from control_plane.db.models.attempt import Attempt
from control_plane.domain.brief import AGENT_NAME, DispatchMetadata
from control_plane.domain.waiting import Cause
from control_plane.orders.leases import LEASE
from control_plane.tokens import Scope, TokenSigner
from process import crash_points
from scheduler.rooms import Rooms, RoomTrouble

_SWEEP_S = 1.0


class NotReady(Exception):
    """No agent is ready for the call; `reason` is what the order's history says."""

    def __init__(self, reason: Cause):
        super().__init__(reason)
        self.reason = reason


class Preparer:
    """Makes rooms and waits for their agents."""

    def __init__(
        self, database: Database, rooms: Rooms, signer: TokenSigner, *, ready_timeout_s: float
    ):
        self._database = database
        self._rooms = rooms
        self._signer = signer
        self._ready_timeout_s = ready_timeout_s

    async def prepare(self, attempt: Attempt) -> None:
        """Return once the attempt's agent is ready.

        Raises:
            NotReady: it is not within the limit, it gave up, or LiveKit is not there.
        """
        lifetime = timedelta(seconds=self._ready_timeout_s) + LEASE
        metadata = DispatchMetadata(
            token=self._signer.issue(Scope.BRIEF, attempt.id, epoch=attempt.epoch, ttl=lifetime),
            attempt_id=attempt.id,
            epoch=attempt.epoch,
        )
        try:
            await self._rooms.open(
                attempt.room_name,
                agent_name=AGENT_NAME,
                metadata=msgspec.json.encode(metadata).decode(),
            )
        except RoomTrouble as exc:
            raise NotReady(Cause.LIVEKIT_UNAVAILABLE) from exc
        crash_points.here("after_room_open")
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await self._ready(attempt.id)
        except TimeoutError as exc:
            raise NotReady(Cause.AGENT_NOT_READY) from exc
        crash_points.here("after_ready")

    async def _ready(self, attempt_id: str) -> None:
        while True:
            heard = self._database.bell.count
            async with self._database.reading() as session:
                row = await session.get_one(Attempt, attempt_id)
            if row.closed_at is not None or row.agent_ended_at is not None:
                raise NotReady(Cause.AGENT_GAVE_UP)
            if row.agent_ready_at is not None:
                return
            await self._database.bell.wait(since=heard, timeout_s=_SWEEP_S)
