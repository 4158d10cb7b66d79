"""Two listeners in one event loop, stopped together and gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import uvicorn
from litestar import Litestar

GRACE_SECS = 5


class _Listener(uvicorn.Server):
    """A server that leaves the signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(listeners: list[tuple[Litestar, str, int]]) -> None:
    """Serve until SIGTERM or SIGINT, then let requests finish for `GRACE_SECS`.

    Raises:
        SystemExit: an address is taken; uvicorn has logged which.
    """
    servers = [_Listener(_config(app, host, port)) for app, host, port in listeners]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.serve())


def _config(app: Litestar, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECS,
    )
