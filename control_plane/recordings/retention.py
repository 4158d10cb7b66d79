"""Until when recordings are kept, and their deletion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.recording import RecordingKind, RecordingState
from control_plane.recordings.spool import RecordingFiles
from control_plane.sessions import leases
from control_plane.sessions.calls import Owner
from control_plane.sessions.history import record

OnSettled = Callable[[AsyncSession, Owner, datetime], Awaitable[None]]
"""Is told, in the transaction that says it, what became of a call's recording."""


async def nobody_waits(_db: AsyncSession, _owner: Owner, _now: datetime) -> None:
    """Nothing waits for recordings."""


def expires_at(spec: AssistantSpec, ended_at: datetime, *, days: int) -> datetime | None:
    """Return when the recording of a call is deleted; None: not by itself.

    Args:
        days: for assistants that say nothing; 0: it is kept.
    """
    kept = spec.recording_retention_days or days
    return ended_at + timedelta(days=kept) if kept else None


async def due(db: AsyncSession, now: datetime, *, limit: int) -> Sequence[str]:
    """Return attempts whose recording has been kept for long enough, the oldest first."""
    rows = await db.scalars(
        select(Recording.session_id)
        .where(
            Recording.expires_at.is_not(None),
            Recording.expires_at <= now,
            Recording.state == RecordingState.STORED,
        )
        .order_by(Recording.expires_at)
        .limit(limit)
    )
    return rows.all()


async def delete(
    database: Database,
    recordings: RecordingFiles,
    attempt_id: str,
    *,
    why: str,
    on_settled: OnSettled = nobody_waits,
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
        async with database.reading() as db:
            row = await db.get(Recording, attempt_id)
            ended_at = (await db.get_one(Session, attempt_id)).ended_at
        if row is None or row.state is RecordingState.ABSENT:
            raise NotFound("there is no recording of this attempt", field="id")
        if row.state is RecordingState.DELETED:
            return
        if ended_at is None:
            raise Conflict("the call is being recorded: end it first, then delete the recording")
        for path in _paths(recordings, row, ended_at):
            await recordings.store.delete(path)
        recordings.drop_spool(attempt_id)
        if await _note(database, row, why=why, on_settled=on_settled):
            return


async def _note(database: Database, seen: Recording, *, why: str, on_settled: OnSettled) -> bool:
    """Return whether the deletion is written down; not, if the files were moved meanwhile."""
    async with database.transaction() as db:
        order, call = await leases.lock(db, seen.session_id, epoch=None)
        row = await db.get_one(Recording, seen.session_id)
        if row.state is not seen.state:
            return False
        now = await read_clock(db)
        row.state, row.deleted_at = RecordingState.DELETED, now
        row.expires_at = row.path = row.mix_path = None
        owner = order or call.session
        record(db, owner, call, "recording_deleted", at=now, why=why)
        await on_settled(db, owner, now)
        return True


def _paths(recordings: RecordingFiles, row: Recording, ended_at: datetime) -> Sequence[str]:
    """Return where the files are, or would be if they are being put there now."""
    given = {RecordingKind.STEREO: row.path, RecordingKind.MIX: row.mix_path}
    return [
        path or recordings.place(row.session_id, ended_at, kind) for kind, path in given.items()
    ]
