"""Waiting for a job of the after-call worker, for as long as one that asked will."""

from __future__ import annotations

import asyncio
from datetime import datetime

from msgspec import Struct

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.job import JobRow
from control_plane.domain.job import JobStatus
from control_plane.jobs import repository

_SWEEP_S = 1.0


class Seen(Struct, frozen=True):
    """A job as it stands, at the database's time, and whether a worker is there."""

    row: JobRow
    now: datetime
    worker_is_there: bool


async def wait_for(
    database: Database, organization_id: str, job_id: str, *, limit_s: float
) -> Seen:
    """Return the job as it stands once it is done.

    Also when `limit_s` has passed, and at once when nobody has the job and no worker has given a
    sign of life lately: nobody would do it meanwhile.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    while True:
        heard = database.changes.count
        async with database.reading() as db:
            now = await read_clock(db)
            row = await repository.get(db, organization_id, job_id)
            seen = Seen(row, now, await repository.worker_is_there(db))
        left = deadline - clock()
        in_vain = row.takes == 0 and not seen.worker_is_there
        if repository.status_of(row, now)[0] is JobStatus.DONE or left <= 0 or in_vain:
            return seen
        await database.changes.wait(since=heard, timeout_s=min(left, _SWEEP_S))
