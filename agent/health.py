"""The worker's health, at a port that it shares with the worker that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from livekit.agents import AgentServer

from control_plane.domain.brief import AGENT_NAME


@asynccontextmanager
async def answering(server: AgentServer, host: str, port: int) -> AsyncIterator[None]:
    """Answer `GET /worker` with the worker's name and its number of calls meanwhile.

    Raises:
        OSError: the port is taken by something else.
    """

    async def worker(_: web.Request) -> web.Response:
        return web.json_response({"agent_name": AGENT_NAME, "active_jobs": len(server.active_jobs)})

    app = web.Application()
    app.add_routes([web.get("/worker", worker)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=True).start()
        yield
    finally:
        await runner.cleanup()
