"""When things happen: APScheduler only wakes; the rows are the schedule."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from control_plane.db.wake import ChangeNotifier
from process.logs import get_logger

Job = Callable[[], Awaitable[None]]
log = get_logger(__name__)


class Timetable:
    """Runs jobs at intervals and at every change, and tells of one at an instant that may move."""

    def __init__(self, changes: ChangeNotifier, tasks: asyncio.TaskGroup):
        self._changes = changes
        self._tasks = tasks
        self._listeners: list[asyncio.Task[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Run `job` at once and then every `seconds`, never twice at the same time."""
        self._scheduler.add_job(
            _ending_with_the_process(_guarded(name, job)),
            IntervalTrigger(seconds=seconds, timezone=UTC),
            id=name,
            next_run_time=datetime.now(UTC),
        )

    def on_change(self, name: str, job: Job, *, sweep_s: float, rest_s: float = 0.0) -> None:
        """Run `job` whenever rows may have changed, and every `sweep_s` as a net.

        Between two runs lie at least `rest_s`: what changes meanwhile is seen by one run.
        """
        guarded = _guarded(name, job)

        async def listen() -> None:
            while True:
                heard = self._changes.count
                await guarded()
                if rest_s:
                    await asyncio.sleep(rest_s)
                await self._changes.wait(since=heard, timeout_s=sweep_s)

        self._listeners.append(self._tasks.create_task(listen(), name=name))

    def after(self, wait: timedelta, name: str, call: Callable[[], None]) -> None:
        """Call `call`, which must be quick, after `wait`; a later call for `name` moves it."""
        before = self._timers.get(name)
        if before is not None:
            before.cancel()
        seconds = max(0.0, wait / timedelta(seconds=1))
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, call)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._scheduler.shutdown(wait=False)
        for task in self._listeners:
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()


def _guarded(name: str, job: Job) -> Job:
    async def run() -> None:
        try:
            await job()
        except Exception:  # the one handler of a job: the next run finds the same rows
            log.exception("a job failed and will run again", job=name)

    return run


def _ending_with_the_process(job: Job) -> Job:
    async def run() -> None:
        # Passed on, APScheduler would log what it cancels at its own end as a job's error.
        with contextlib.suppress(asyncio.CancelledError):
            await job()

    return run
