"""Requests in groups: those that come at about the same time are handed over together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Generic, TypeVar

_DECAY = 0.8
_FEW = 2
"""Groups of so few gain nothing by waiting for one more."""

T = TypeVar("T")


class BatchQueue(Generic[T]):
    """A queue that is emptied in groups.

    Where many ask at once, those who were just answered ask again within moments: a group that
    began with the first of them would leave the others to the next. So a group waits, but only
    until it is as large as groups have been lately, and never for one who asks alone.

    Args:
        most: the largest group.
        most_waiting: how many may wait at all.
        max_wait_s: how long a group may wait to fill.
    """

    def __init__(self, *, most: int, most_waiting: int, max_wait_s: float) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue(most_waiting)
        self._most = most
        self.max_wait_s = max_wait_s
        self._usual = 1.0
        self._wanted = 0
        self._enough = asyncio.Event()

    def put(self, item: T) -> None:
        """Let `item` be handed over with the next group.

        Raises:
            asyncio.QueueFull: too many wait.
        """
        self._queue.put_nowait(item)
        if self._queue.qsize() >= self._wanted:
            self._enough.set()

    async def next(self) -> list[T]:
        """Return the next group, in order; at least one."""
        first = await self._queue.get()
        if self.max_wait_s and self._usual > _FEW:
            await self._fill(int(self._usual) - 1)
        group = [first, *self.now(self._most - 1)]
        self._usual = max(float(len(group)), self._usual * _DECAY)
        return group

    def now(self, most: int) -> list[T]:
        """Return those that wait already, at most so many; perhaps none."""
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    async def _fill(self, wanted: int) -> None:
        if self._queue.qsize() >= wanted:
            return
        self._wanted = wanted
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.max_wait_s):
                await self._enough.wait()
