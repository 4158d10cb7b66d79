"""After a call: its room is deleted and its recording put away."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from control_plane.db.base import read_clock
from control_plane.db.engine import Database, wake
from control_plane.db.models.attempt import Attempt
from control_plane.domain.attempt import RecordingKind, RecordingState
from control_plane.domain.events import EndReason
from control_plane.orders import leases, repository
from control_plane.orders.history import record
from control_plane.recordings.spool import RecordingFiles
from process.logs import get_logger
from scheduler.rooms import Rooms, RoomTrouble

PATIENCE = timedelta(seconds=30)
"""How long after the call a recording may still arrive from an agent that has not finished it."""

log = get_logger(__name__)


class Tidier:
    """Leaves nothing behind."""

    def __init__(self, database: Database, rooms: Rooms, recordings: RecordingFiles):
        self._database = database
        self._rooms = rooms
        self._recordings = recordings

    async def delete_rooms(self) -> None:
        """Delete the rooms of closed attempts."""
        async with self._database.reading() as session:
            closed = await repository.rooms_to_delete(session)
        for attempt in closed:
            try:
                await self._rooms.close(attempt.room_name)
            except RoomTrouble as exc:
                log.warning("a room was not deleted", attempt_id=attempt.id, error=str(exc))
                continue
            async with self._database.transaction() as session:
                row = await session.get_one(Attempt, attempt.id)
                row.room_deleted_at = await read_clock(session)

    async def put_recordings_away(self) -> None:
        """Move finished recordings into the store, and give up on those that never came."""
        async with self._database.reading() as session:
            now = await read_clock(session)
            spooled = await repository.spooled_recordings(session)
        for attempt in spooled:
            ended_at = attempt.ended_at or now
            finished = attempt.recording_finished_at is not None
            # Nothing was said before the answer, and an agent that was shut out sends no more.
            over = attempt.answered_at is None or attempt.end_reason == EndReason.AGENT_LOST
            if finished or over or ended_at + PATIENCE < now:
                await self._put_away(attempt)

    async def _put_away(self, attempt: Attempt) -> None:
        ended_at = attempt.ended_at or attempt.created_at
        found, mix = [
            await asyncio.to_thread(self._recordings.put_away, attempt.id, ended_at, kind)
            for kind in (RecordingKind.STEREO, RecordingKind.MIX)
        ]
        async with self._database.transaction() as session:
            order, row = await leases.hold(session, attempt.id, epoch=None)
            if row.recording_state is not RecordingState.SPOOLING:
                return
            now = await read_clock(session)
            if found is None:
                row.recording_state = RecordingState.ABSENT
                return
            row.recording_path, row.recording_size = found
            row.mix_path, row.mix_size = mix or (None, None)
            row.recording_state = RecordingState.STORED
            record(
                session, order, row, "recording_stored", at=now, stored_at=now, size_bytes=found[1]
            )
            wake(session)
