"""What is kept for a while only: answers of idempotent requests, sent messages, recordings."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import or_, select

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.recording import RecordingState
from control_plane.orders import idempotency
from control_plane.recordings import retention as recordings_kept
from control_plane.recordings.spool import RecordingFiles
from control_plane.recordings.store import StoreTrouble
from control_plane.webhooks import retention
from process.logs import get_logger

_AT_ONCE = 500
"""Rows in one transaction: others wait for it, on SQLite."""

log = get_logger(__name__)


class Retention:
    """Deletes what is older than it must be."""

    def __init__(self, database: Database, *, messages_kept: timedelta):
        self._database = database
        self._messages_kept = messages_kept

    async def delete_expired(self) -> None:
        """Delete everything that is old."""
        async with self._database.transaction() as db:
            await idempotency.delete_expired(db, await read_clock(db))
        while await self._delete_messages():
            pass

    async def _delete_messages(self) -> int:
        async with self._database.transaction() as db:
            cutoff = await read_clock(db) - self._messages_kept
            return await retention.delete_before(db, cutoff, limit=_AT_ONCE)


class RecordingRetention:
    """Deletes recordings whose time is over."""

    def __init__(self, database: Database, recordings: RecordingFiles):
        self._database = database
        self._recordings = recordings

    async def delete_expired(self) -> None:
        """Delete recordings that were kept for long enough, and what a kill left in the spool."""
        await self._clear_spool()
        while due := await self._due():
            for attempt_id in due:
                try:
                    await recordings_kept.delete(
                        self._database, self._recordings, attempt_id, why="retention"
                    )
                except StoreTrouble as exc:
                    log.warning("recordings stay too long", error=exc)
                    return

    async def _due(self) -> list[str]:
        async with self._database.reading() as db:
            now = await read_clock(db)
            return list(await recordings_kept.due(db, now, limit=_AT_ONCE))

    async def _clear_spool(self) -> None:
        there = sorted(await asyncio.to_thread(self._recordings.spooled))
        for at in range(0, len(there), _AT_ONCE):
            some = there[at : at + _AT_ONCE]
            async with self._database.reading() as db:
                left = await db.scalars(
                    select(Session.id)
                    .outerjoin(Recording, Recording.session_id == Session.id)
                    .where(
                        Session.id.in_(some),
                        or_(Recording.state.is_(None), Recording.state != RecordingState.SPOOLING),
                    )
                )
            for attempt_id in left:
                self._recordings.drop_spool(attempt_id)
