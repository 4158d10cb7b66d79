"""Jobs of the after-call worker as rows: made, taken by one worker at a time, reported on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.engine import wake
from control_plane.db.heartbeats import alive
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.job import JobRow
from control_plane.db.models.organization import Organization
from control_plane.db.owned import get_own
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.ids import new_id
from control_plane.domain.job import (
    LEASE,
    TAKES,
    WAITS,
    JobKind,
    JobReport,
    JobStatus,
    verdict,
)

WORKER = "aftercall"
"""The kind of the after-call worker's signs of life."""
_KEPT = timedelta(days=7)


async def test_of(db: AsyncSession, assistant: Assistant) -> JobRow:
    """Return a new test of the assistant as it is now, or the one that is not done yet."""
    now = await read_clock(db)
    known = await db.scalars(
        select(JobRow).where(
            JobRow.organization_id == assistant.organization_id,
            JobRow.assistant_id == assistant.id,
            JobRow.version_id == assistant.version_id,
            JobRow.done_at.is_(None),
        )
    )
    for row in known:
        if status_of(row, now)[0] is not JobStatus.DONE:
            return row
    return await _add(
        db,
        assistant.organization_id,
        JobKind.TEST,
        now=now,
        assistant_id=assistant.id,
        version_id=assistant.version_id,
    )


async def preview_of(db: AsyncSession, organization_id: str, wanted: dict[str, Any]) -> JobRow:
    """Return a new job to speak a sentence; `wanted` is a voice, a language and a text."""
    now = await read_clock(db)
    return await _add(db, organization_id, JobKind.PREVIEW, now=now, preview=wanted)


async def get(db: AsyncSession, organization_id: str, job_id: str) -> JobRow:
    """Return a job.

    Raises:
        NotFound: this organization has none with that id, or it was forgotten after a week.
    """
    return await get_own(
        db,
        JobRow,
        organization_id,
        job_id,
        what="test",
        field=None,
        remedy="tests are kept for a week",
    )


def status_of(row: JobRow, now: datetime) -> tuple[JobStatus, str | None]:
    """Return the job's status, and why it ended when no worker did it."""
    return verdict(
        JobKind(row.kind),
        created_at=row.created_at,
        takes=row.takes,
        lease_until=row.lease_until,
        done_at=row.done_at,
        now=now,
    )


async def worker_is_there(db: AsyncSession) -> bool:
    """Return whether an after-call worker has given a sign of life lately."""
    return await alive(db, WORKER, now=await read_clock(db))


async def is_waiting(db: AsyncSession) -> bool:
    """Return whether there is a job that a worker may take."""
    now = await read_clock(db)
    return await db.scalar(select(JobRow.id).where(_takeable(now)).limit(1)) is not None


async def take(db: AsyncSession) -> JobRow | None:
    """Return the oldest job that waits, for one worker and no other; null when there is none."""
    now = await read_clock(db)
    oldest = await db.scalar(
        select(JobRow.id).where(_takeable(now)).order_by(JobRow.created_at).limit(1)
    )
    if oldest is None:
        return None
    taken: JobRow | None = await db.scalar(
        update(JobRow)
        .where(JobRow.id == oldest, _takeable(now))
        .values(takes=JobRow.takes + 1, lease_until=now + LEASE)
        .returning(JobRow)
    )
    return taken


async def report(db: AsyncSession, job_id: str, takes: int, told: JobReport) -> None:
    """Store what a worker tells, and keep the job its own.

    Raises:
        StaleEpoch: the job is done, or another worker has it.
    """
    now = await read_clock(db)
    row = await db.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())
    if row is None or row.takes != takes or row.done_at is not None:
        raise StaleEpoch("this job is done, or another worker has it")
    row.results = msgspec.to_builtins(told.results)
    row.lease_until = now + LEASE
    if told.done:
        row.sound, row.done_at = told.sound, now
    wake(db)


def _takeable(now: datetime) -> ColumnElement[bool]:
    """The condition that `domain.job.verdict` leaves a job to a worker, as SQL.

    Those of organizations that are suspended are left to none: it would use their keys.
    """
    active = select(Organization.id).where(Organization.suspended_at.is_(None))
    return and_(
        JobRow.done_at.is_(None),
        JobRow.takes < TAKES,
        or_(JobRow.lease_until.is_(None), JobRow.lease_until <= now),
        or_(
            *(
                and_(JobRow.kind == kind, JobRow.created_at > now - waits)
                for kind, waits in WAITS.items()
            )
        ),
        JobRow.organization_id.in_(active),
    )


async def _add(
    db: AsyncSession, organization_id: str, kind: JobKind, *, now: datetime, **more: Any
) -> JobRow:
    await db.execute(
        delete(JobRow).where(
            JobRow.organization_id == organization_id, JobRow.created_at < now - _KEPT
        )
    )
    row = JobRow(
        id=new_id(),
        organization_id=organization_id,
        kind=kind,
        takes=0,
        results=[],
        created_at=now,
        **more,
    )
    db.add(row)
    wake(db)
    return row
