"""Event streams as a whole: how many a key may hold, for how long, and one look for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable

from sqlalchemy.exc import SQLAlchemyError

from control_plane.db.engine import Database
from control_plane.domain.errors import TooMany
from control_plane.http.auth import Principal, Ring
from process.logs import get_logger

log = get_logger(__name__)
EVENT_STREAM = "text/event-stream"
CHECK_S = 15.0
"""How long a stream may outlive its key, but for the second between two looks."""

MOST_PER_KEY = 20
SWEEP_S = 1.0
KEEPALIVE_S = 15.0
KEEPALIVE = b": still here\n\n"
IDLE = b""
"""What a stream yields when there is nothing to tell: a moment to check its key."""


class OpenStreams:
    """Lets streams begin, and ends those whose key was revoked or lost its scope."""

    def __init__(
        self,
        ring: Ring,
        *,
        most: int = MOST_PER_KEY,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._ring = ring
        self._most = most
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._checked: dict[str, float] = {}

    def begin(
        self, principal: Principal, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Return `chunks` as a stream of this key.

        Raises:
            TooMany: the key has as many streams open as it may.
        """
        key = principal.key_id
        if self._open[key] >= self._most:
            raise TooMany(
                f"this API key has {self._most} event streams open: close one, or follow all "
                "calls by one stream of GET /webhook/events",
                retry_after_secs=5,
            )
        self._open[key] += 1
        self._checked.setdefault(key, self._clock())
        left = contextlib.ExitStack()
        left.callback(self._end, key)
        stream = self._guard(principal, chunks, left)
        # A client that is gone before the first byte leaves a generator that never ran.
        weakref.finalize(stream, left.close).atexit = False
        return stream

    async def _guard(
        self,
        principal: Principal,
        chunks: AsyncGenerator[bytes, None],
        left: contextlib.ExitStack,
    ) -> AsyncGenerator[bytes, None]:
        with left:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    if not await self._stands(principal):
                        log.info("a stream ended with its key", key_id=principal.key_id)
                        return
                    if chunk:
                        yield chunk

    async def _stands(self, principal: Principal) -> bool:
        """Whether the key still holds; read once for all its streams, and again after `CHECK_S`."""
        now = self._clock()
        if now - self._checked.get(principal.key_id, -CHECK_S) < CHECK_S:
            return True
        if not await self._ring.stands(principal):
            return False
        self._checked[principal.key_id] = now
        return True

    def _end(self, key: str) -> None:
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]
            self._checked.pop(key, None)


class SharedLook(ABC):
    """Looks into the database for everybody of this process who waits, while somebody does."""

    def __init__(self, database: Database):
        self._database = database
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def _poll(self) -> None:
        """Read once what is new and tell those who wait for it."""

    def _join(self) -> None:
        self._waiting += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    def _leave(self) -> None:
        self._waiting -= 1
        if self._waiting == 0 and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        changes = self._database.history
        while True:
            heard = changes.count
            try:
                await self._poll()
            except SQLAlchemyError as exc:  # the next look reads the same again
                log.warning("events could not be read", error=type(exc).__name__)
            await changes.wait(since=heard, timeout_s=SWEEP_S)
