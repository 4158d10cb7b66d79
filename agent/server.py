"""The LiveKit worker: loads the engines once, takes jobs, reports its health."""

from __future__ import annotations

import asyncio
import functools
import signal
from pathlib import Path

from livekit.agents import AgentServer, JobContext, JobExecutorType

from agent.entrypoint import run_call
from agent.session import Engines, load_vad
from agent.settings import AgentSettings
from control_plane.domain.brief import AGENT_NAME
from process.addresses import Allowed
from process.logs import get_logger
from process.steady import hold_steady
from speech.prewarm import load_offline
from speech.warm_clients import warm_clients

log = get_logger(__name__)

DRAIN_LIMIT_S = 20


async def serve(settings: AgentSettings, engines: Engines) -> None:
    """Take jobs until SIGTERM or SIGINT, then let running calls end for a while."""
    await warm_clients()
    hold_steady()
    server = build_server(settings, engines)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(server.run(devmode=False, unregistered=False))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        try:
            await server.drain(timeout=DRAIN_LIMIT_S)
        except TimeoutError:
            log.warning("calls were still live at the end of the drain")
        await server.aclose()
    await running


def build_server(settings: AgentSettings, engines: Engines) -> AgentServer:
    """Return the worker; calls run as threads that share `engines` (docs/decisions/0003)."""
    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret,
        host=settings.worker_host,
        port=settings.worker_port,
        num_idle_processes=2,
        drain_timeout=DRAIN_LIMIT_S,
        load_fnc=lambda worker: len(worker.active_jobs) / settings.max_sessions,
        load_threshold=0.999,
    )

    async def take_job(context: JobContext) -> None:
        await run_call(context, engines, settings.internal_url)

    server.rtc_session(functools.partial(take_job), agent_name=AGENT_NAME)
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
