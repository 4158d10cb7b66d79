"""Takes jobs and does them, several at a time, each for as long as it is this worker's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.aftercall.job_api import JobApi
from agent.aftercall.settings import AfterCallSettings
from agent.internal_api import Refused, Unreachable
from control_plane.domain.job import HEARTBEAT_S, Job, JobReport, ProbeResult
from process.addresses import Allowed
from process.logs import get_logger

if TYPE_CHECKING:
    from speech.prewarm import OfflineEngines

log = get_logger(__name__)

AT_ONCE = 8
Tell = Callable[[list[ProbeResult]], None]
Do = Callable[[Job, Tell], Awaitable[bytes | None]]
"""Does a job, telling its results as they come; returns the sound of a preview."""


class Jobs(Protocol):
    """Where jobs come from and results go to."""

    async def take(self) -> Job | None:
        """Return a job, or null after a while."""

    async def report(self, job: Job, report: JobReport) -> None:
        """Store all results so far, and keep the job."""

    async def aclose(self) -> None:
        """Close the connections."""


class Worker:
    """Does the jobs of one control plane.

    What speaks and hears is loaded with the first job that needs it: until then the process is
    small, and costs the start of the others nothing.
    """

    def __init__(
        self,
        settings: AfterCallSettings,
        allowed: Allowed,
        *,
        jobs: Jobs | None = None,
        do: Do | None = None,
        pause_s: float = 1.0,
    ) -> None:
        """Prepare.

        Args:
            jobs: the control plane at `settings.internal_url` when absent.
            do: how a job is done; by the real plugins when absent.
            pause_s: after the control plane gave no answer.
        """
        self._model_dir = settings.stt_model_dir
        self._allowed = allowed
        self._jobs = jobs or JobApi(settings.internal_url, settings.livekit_api_secret)
        self._do = do or self._really
        self._pause_s = pause_s
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._engines: asyncio.Task[OfflineEngines] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Do jobs until `stop` is set; what is not done by then is left to another worker."""
        taking = asyncio.create_task(self._take_jobs())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
        finally:
            everything = [taking, stopping, *self._running]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await self._jobs.aclose()
            await self._close_engines()

    async def _take_jobs(self) -> None:
        was_there = True
        while True:
            await self._room.acquire()
            job = None
            try:
                job = await self._jobs.take()
                was_there = True
            except (Unreachable, Refused) as exc:
                if was_there or isinstance(exc, Refused):
                    log.warning("no jobs from the control plane", why=exc)
                was_there = False
                await asyncio.sleep(self._pause_s)
            finally:
                if job is None:
                    self._room.release()
            if job is not None:
                task = asyncio.create_task(self._run(job), name=f"job {job.id}")
                self._running.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.release()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("a job failed", exc_info=failure)

    async def _run(self, job: Job) -> None:
        """Do the job and report on it; give it up when it is another's."""
        results: list[ProbeResult] = []
        news = asyncio.Event()

        def report(so_far: list[ProbeResult]) -> None:
            results[:] = so_far
            news.set()

        working = asyncio.ensure_future(self._do(job, report))
        try:
            while not working.done():
                await self._report(job, JobReport(results=tuple(results)))
                news.clear()
                arrived = asyncio.ensure_future(news.wait())
                await asyncio.wait(
                    [working, arrived],
                    timeout=HEARTBEAT_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                arrived.cancel()
            sound = working.result()
            await self._report(job, JobReport(results=tuple(results), done=True, sound=sound))
            log.info("a job is done", job_id=job.id, kind=job.kind)
        except Refused as exc:
            log.warning("a job is another's now", job_id=job.id, why=exc)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])

    async def _report(self, job: Job, report: JobReport) -> None:
        """Report; the last word is said again until it is heard or the job is another's."""
        while True:
            try:
                await self._jobs.report(job, report)
            except Unreachable as exc:
                log.info("a report was not heard", job_id=job.id, why=exc)
                if not report.done:
                    return
                await asyncio.sleep(self._pause_s)
            else:
                return

    async def _really(self, job: Job, tell: Tell) -> bytes | None:
        # Here and not above: it brings every plugin along.
        from agent.aftercall.probing import carry_out

        return await carry_out(job, tell, engines=self._load_engines, allowed=self._allowed)

    async def _load_engines(self) -> OfflineEngines:
        if self._engines is None or (self._engines.done() and self._engines.exception()):
            self._engines = asyncio.create_task(self._load())
        return await asyncio.shield(self._engines)

    async def _load(self) -> OfflineEngines:
        from speech.prewarm import load_offline

        folder = Path(self._model_dir) if self._model_dir else None
        return await asyncio.to_thread(load_offline, model_folder=folder)

    async def _close_engines(self) -> None:
        if self._engines is not None:
            loaded = await asyncio.gather(self._engines, return_exceptions=True)
            if not isinstance(loaded[0], BaseException):
                await asyncio.to_thread(loaded[0].close)
