"""When things happen: an instant that may move."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from control_plane.db.wake import Bell
from scheduler.timetable import Timetable

pytestmark = pytest.mark.unit

SOON, LATE = timedelta(microseconds=1), timedelta(days=1)


async def test_an_instant_can_be_moved_and_one_that_has_passed_is_now() -> None:
    called: list[str] = []
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        timetable = Timetable(Bell(), tasks)
        timetable.start()
        timetable.after(SOON, "moved", lambda: called.append("too early"))
        timetable.after(LATE, "moved", lambda: called.append("too late"))
        timetable.after(-LATE, "other", lambda: called.append("at once"))
        timetable.after(SOON, "last", done.set)
        async with asyncio.timeout(5):
            await done.wait()
        timetable.stop()
    assert called == ["at once"]


async def test_nothing_is_called_after_the_end() -> None:
    called: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        timetable = Timetable(Bell(), tasks)
        timetable.start()
        timetable.after(SOON, "late", lambda: called.append("late"))
        timetable.stop()
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, passed.set)
        await passed.wait()
    assert called == []
