"""Virtual time: an event loop that jumps to its next timer, and never sleeps, polls or threads."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class Stuck(Exception):
    """Nothing is left that could ever happen, and the schedule is not over."""


class _Jump(selectors.SelectSelector):
    """Waits by moving the loop's clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.loop.at += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0; what would run in a thread runs at once."""

    def __init__(self) -> None:
        self.at = 0.0
        jump = _Jump()
        jump.loop = self
        super().__init__(jump)

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self.at

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Return the result of `func`, called now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(exc)
        return future
