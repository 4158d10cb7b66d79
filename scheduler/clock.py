"""The time of the machine, as what waits for an instant sees it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """This machine's time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class WallClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)
