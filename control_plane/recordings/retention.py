"""Until when recordings are kept, and their deletion."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.attempt import Attempt
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.attempt import RecordingKind, RecordingState
from control_plane.domain.errors import Conflict, NotFound
from control_plane.orders import leases
from control_plane.orders.history import record
from control_plane.recordings.spool import RecordingFiles


def expires_at(spec: AssistantSpec, ended_at: datetime, *, days: int) -> datetime | None:
    """Return when the recording of a call is deleted; None: not by itself.

    Args:
        days: for assistants that say nothing; 0: it is kept.
    """
    kept = spec.recording_retention_days or days
    return ended_at + timedelta(days=kept) if kept else None


async def due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[str]:
    """Return attempts whose recording has been kept for long enough, the oldest first."""
    rows = await session.scalars(
        select(Attempt.id)
        .where(
            Attempt.recording_expires_at.is_not(None),
            Attempt.recording_expires_at <= now,
            Attempt.recording_state == RecordingState.STORED,
        )
        .order_by(Attempt.recording_expires_at)
        .limit(limit)
    )
    return rows.all()


async def delete(
    database: Database, recordings: RecordingFiles, attempt_id: str, *, why: str
) -> None:
    """Delete the files of an attempt's recording and say so on the attempt; again is harmless.

    Args:
        why: for the history, `retention` or `request`.

    Raises:
        NotFound: there never was one.
        Conflict: the call is not over.
        StoreTrouble: the store is away or refuses; nothing has changed then but what is gone.
    """
    while True:
        async with database.reading() as session:
            row = await session.get_one(Attempt, attempt_id)
        if row.recording_state is RecordingState.DELETED:
            return
        if row.recording_state is RecordingState.ABSENT:
            raise NotFound("there is no recording of this attempt", field="id")
        if row.ended_at is None:
            raise Conflict("the call is being recorded: end it first, then delete the recording")
        for path in _paths(recordings, row, row.ended_at):
            await recordings.store.delete(path)
        recordings.drop_spool(row.id)
        if await _note(database, row, why=why):
            return


async def _note(database: Database, seen: Attempt, *, why: str) -> bool:
    """Return whether the deletion is written down; not, if the files were moved meanwhile."""
    async with database.transaction() as session:
        order, row = await leases.hold(session, seen.id, epoch=None)
        if row.recording_state is not seen.recording_state:
            return False
        now = await read_clock(session)
        row.recording_state = RecordingState.DELETED
        row.recording_deleted_at = now
        row.recording_expires_at = row.recording_path = row.mix_path = None
        record(session, order, row, "recording_deleted", at=now, stored_at=now, why=why)
        return True


def _paths(recordings: RecordingFiles, row: Attempt, ended_at: datetime) -> Sequence[str]:
    """Return where the files are, or would be if they are being put there now."""
    given = {RecordingKind.STEREO: row.recording_path, RecordingKind.MIX: row.mix_path}
    return [path or recordings.place(row.id, ended_at, kind) for kind, path in given.items()]
