"""Two listeners in one event loop, stopped together and gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from litestar import Litestar
from sqlalchemy.exc import SQLAlchemyError

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.heartbeats import API, INTERVAL_SECS, beat
from control_plane.http.limits import LimitedProtocol
from process.logs import get_logger

log = get_logger(__name__)
GRACE_SECS = 5


class _Listener(uvicorn.Server):
    """A server that leaves the signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def beating(database: Database) -> AsyncIterator[None]:
    """Give signs of life in the rows while the context is open."""
    name = f"api:{socket.gethostname()}:{os.getpid()}"

    async def beat_on() -> None:
        while True:
            try:
                async with database.transaction() as db:
                    await beat(db, API, name, now=await read_clock(db))
            except SQLAlchemyError as exc:
                log.warning("a sign of life was not written", error=exc)
            await asyncio.sleep(INTERVAL_SECS)

    task = asyncio.create_task(beat_on())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def serve(listeners: list[tuple[Litestar, str, int]]) -> None:
    """Serve until SIGTERM or SIGINT, then let requests finish for `GRACE_SECS`.

    Raises:
        SystemExit: an address is taken; uvicorn has logged which.
    """
    servers = [_Listener(listener_config(app, host, port)) for app, host, port in listeners]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.serve())


def listener_config(
    app: Litestar,
    host: str,
    port: int,
    *,
    protocol: type[LimitedProtocol] = LimitedProtocol,
) -> uvicorn.Config:
    """Return how one listener serves `app`."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        ws="none",
        http=protocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECS,
    )
