"""Tests of assistants as clients see them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from control_plane.db.models.job import JobRow
from control_plane.domain.job import NO_WORKER, JobStatus, ProbeResult
from control_plane.jobs.repository import status_of


class AssistantTestView(Struct, frozen=True, kw_only=True):
    """A test of an assistant: one result per provider, in the order of their steps.

    `ok` once every provider did what it should; `error` says why nobody tested them, or, while the
    test is queued, that there is no worker; it is done once there is one, within a day.
    """

    id: str
    assistant_id: str
    status: JobStatus
    ok: bool
    results: list[ProbeResult]
    error: str | None
    created_at: datetime


class AssistantTestEnvelope(Struct, frozen=True):
    """One test."""

    test: AssistantTestView


def test_view(row: JobRow, now: datetime, *, worker_is_there: bool) -> AssistantTestEnvelope:
    """Return the test as it stands."""
    status, error = status_of(row, now)
    if status is JobStatus.QUEUED and not worker_is_there:
        error = NO_WORKER
    results = msgspec.convert(row.results, list[ProbeResult])
    passed = status is JobStatus.DONE and error is None and all(each.ok for each in results)
    return AssistantTestEnvelope(
        AssistantTestView(
            id=row.id,
            assistant_id=row.assistant_id or "",
            status=status,
            ok=passed,
            results=results,
            error=error,
            created_at=row.created_at,
        )
    )
