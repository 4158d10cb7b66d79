"""After a call: its room is deleted and its recording put away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import update

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

_AT_ONCE = 400
"""Rows of one statement; SQLite's oldest limit of values is 999."""

_File = tuple[str, int]
"""Path below the store, and size."""

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
        deleted = []
        for attempt in closed:
            try:
                await self._rooms.close(attempt.room_name)
            except RoomTrouble as exc:
                log.warning("a room was not deleted", attempt_id=attempt.id, error=str(exc))
            else:
                deleted.append(attempt.id)
        for some in _pieces(deleted):
            async with self._database.transaction() as session:
                now = await read_clock(session)
                await session.execute(
                    update(Attempt).where(Attempt.id.in_(some)).values(room_deleted_at=now)
                )

    async def put_recordings_away(self) -> None:
        """Move finished recordings into the store, and give up on those that never came."""
        async with self._database.reading() as session:
            now = await read_clock(session)
            spooled = await repository.spooled_recordings(session)
        done = []
        for attempt in spooled:
            ended_at = attempt.ended_at or now
            finished = attempt.recording_finished_at is not None
            # Nothing was said before the answer, and an agent that was shut out sends no more.
            over = attempt.answered_at is None or attempt.end_reason == EndReason.AGENT_LOST
            if finished or over or ended_at + PATIENCE < now:
                done.append(attempt)
        files = await asyncio.to_thread(self._put_away, done) if done else {}
        for some in _pieces([key for key, (stereo, _mix) in files.items() if stereo is None]):
            async with self._database.transaction() as session:
                await session.execute(
                    update(Attempt)
                    .where(Attempt.id.in_(some), Attempt.recording_state == RecordingState.SPOOLING)
                    .values(recording_state=RecordingState.ABSENT)
                )
        for attempt_id, (stereo, mix) in files.items():
            if stereo is not None:
                await self._note(attempt_id, stereo, mix)

    def _put_away(self, done: Sequence[Attempt]) -> dict[str, tuple[_File | None, _File | None]]:
        """Return each attempt's recording and its mix, as far as there are; no entry: it failed."""
        files = {}
        for attempt in done:
            ended_at = attempt.ended_at or attempt.created_at
            try:
                stereo, mix = (
                    self._recordings.put_away(attempt.id, ended_at, kind)
                    for kind in (RecordingKind.STEREO, RecordingKind.MIX)
                )
            except OSError as exc:
                log.warning("a recording stays", attempt_id=attempt.id, error=str(exc))
            else:
                files[attempt.id] = stereo, mix
        return files

    async def _note(self, attempt_id: str, stereo: _File, mix: _File | None) -> None:
        async with self._database.transaction() as session:
            order, row = await leases.hold(session, attempt_id, epoch=None)
            if row.recording_state is not RecordingState.SPOOLING:
                return
            now = await read_clock(session)
            row.recording_path, row.recording_size = stereo
            row.mix_path, row.mix_size = mix or (None, None)
            row.recording_state = RecordingState.STORED
            record(
                session, order, row, "recording_stored", at=now, stored_at=now, size_bytes=stereo[1]
            )
            wake(session)


def _pieces(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))
