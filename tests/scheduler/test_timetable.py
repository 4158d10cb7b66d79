"""What becomes of a job that is under way when the process stops."""

from __future__ import annotations

import asyncio
import logging

import pytest

from scheduler.timetable import _ending_with_the_process

pytestmark = pytest.mark.unit


async def test_a_job_that_ends_with_its_process_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = asyncio.Event()

    async def job() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(_ending_with_the_process(job)())
    await begun.wait()
    running.cancel()
    with caplog.at_level(logging.WARNING):
        done, _ = await asyncio.wait([running])
    assert [task.exception() for task in done] == [None]
    assert caplog.records == []
