"""Signals that a process waits for."""

from __future__ import annotations

import asyncio
import signal

STOP = (signal.SIGTERM, signal.SIGINT)


def signalled(*numbers: signal.Signals) -> asyncio.Future[None]:
    """Return what is done once one of these signals has come."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    for number in numbers:
        loop.add_signal_handler(number, settle)
    return future
