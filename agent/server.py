"""The LiveKit worker: loads the engines once, takes jobs, reports its health."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livekit.agents import AgentServer, JobContext, JobExecutorType, JobRequest

from agent import stand_in
from agent.admission import Admission
from agent.entrypoint import run_call
from agent.health import answering
from agent.renewal import stand_in_once_worn
from agent.session import Engines, load_vad
from agent.settings import AgentSettings
from agent.stand_in import DISMISS, Role
from control_plane.domain.brief import AGENT_NAME
from process.addresses import Allowed
from process.gc_tuning import tune_gc
from process.logs import get_logger
from process.short_way.offers import Folder
from process.signals import STOP, signalled
from speech.prewarm import load_offline
from speech.warm_clients import warm_clients

log = get_logger(__name__)

DRAIN_LIMIT_S = 20


class Worker:
    """One worker's life: it takes jobs until it is told to stop, sent away, or worn."""

    def __init__(self, settings: AgentSettings, engines: Engines, role: Role) -> None:
        self._settings = settings
        self._role = role
        self._taken = 0
        self._server = build_server(settings, engines, self._count)
        self._started, self._registered = asyncio.Event(), asyncio.Event()
        self._server.on("worker_started", self._started.set)
        self._server.on("worker_registered", lambda *_: self._registered.set())
        self._stop = signalled(*STOP)
        self._dismissed = signalled(DISMISS)

    def _count(self) -> None:
        self._taken += 1

    async def run(self) -> int | None:
        """Return the process id of the stand-in when this worker is to begin anew."""
        running = asyncio.create_task(self._server.run(devmode=False, unregistered=False))
        renewal = asyncio.create_task(self._renewal())
        health = asyncio.create_task(self._answer())
        asked = (self._stop, self._dismissed, renewal, health)
        try:
            await _first_of(running, *asked)
            if not running.done():
                await self._drain(running)
                await self._server.aclose()
            await running
            if health.done():
                health.result()
            return await self._successor(renewal)
        finally:
            for task in (renewal, health):
                task.cancel()
            await asyncio.gather(renewal, health, return_exceptions=True)

    async def _renewal(self) -> int:
        await self._registered.wait()
        self._role.report_registered()
        if self._role.ready_fd is not None:
            await asyncio.Future()  # a stand-in is sent away soon
        return await stand_in_once_worn(
            self._settings,
            self._role.environ,
            is_busy=lambda: bool(self._server.active_jobs),
            taken=lambda: self._taken,
        )

    async def _answer(self) -> None:
        await self._started.wait()
        async with answering(self._server, self._settings.worker_host, self._settings.worker_port):
            await asyncio.Future()

    async def _drain(self, running: asyncio.Future[None]) -> None:
        """Take no more calls and let those that are live end; told to stop, for a while only."""
        draining = asyncio.create_task(self._server.drain(timeout=None))
        await _first_of(draining, running, self._stop)
        if not draining.done():
            await asyncio.wait([draining], timeout=DRAIN_LIMIT_S)
        if not draining.done():
            log.warning("calls were still live at the end of the drain")
            draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)

    async def _successor(self, renewal: asyncio.Task[int]) -> int | None:
        found = renewal.result() if renewal.done() else None
        if not self._stop.done():
            return found
        for pid in (found, self._role.stand_in):
            if pid is not None:
                await stand_in.end(pid, DRAIN_LIMIT_S)
        return None


async def serve(settings: AgentSettings, engines: Engines, role: Role) -> int | None:
    """Take jobs until SIGTERM or SIGINT, then let running calls end for a while.

    Returns:
        The process id of the stand-in, when this worker is worn and is to begin anew.
    """
    await warm_clients()
    tune_gc()
    return await Worker(settings, engines, role).run()


async def _first_of(*waited: asyncio.Future[Any]) -> None:
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)


def build_server(
    settings: AgentSettings, engines: Engines, taken: Callable[[], None]
) -> AgentServer:
    """Return the worker; calls run as threads that share `engines` (docs/decisions/0003).

    Args:
        taken: is told of each call.
    """
    admission = Admission(settings.max_sessions)
    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret,
        # Ours answers in its place: two workers can share its port (agent/health.py).
        host="127.0.0.1",
        port=0,
        num_idle_processes=2,
        drain_timeout=DRAIN_LIMIT_S,
        load_fnc=admission.load,
        load_threshold=math.inf,  # the cap is the admission's
    )

    offers = Folder(Path(settings.data)) if settings.short_way else None

    async def take_job(context: JobContext) -> None:
        taken()
        await run_call(context, engines, settings.internal_url, settings.livekit, offers)

    async def answer(request: JobRequest) -> None:
        await admission.answer(server, request)

    server.rtc_session(functools.partial(take_job), agent_name=AGENT_NAME, on_request=answer)
    return server


def load_engines(settings: AgentSettings) -> Engines:
    """Load and run every engine once, so that the first call is as fast as the tenth.

    Raises:
        SettingsError: OFFHOOK_ALLOW_PRIVATE has the wrong form.
    """
    allowed = Allowed.parse(settings.allow_private)
    return Engines(
        offline=load_offline(
            model_folder=Path(settings.stt_model_dir) if settings.stt_model_dir else None
        ),
        vad=load_vad(),
        allowed=allowed,
    )
