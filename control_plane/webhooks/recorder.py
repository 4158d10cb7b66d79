"""Tries on their way into the rows: many in one transaction, so that the disk keeps up."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from control_plane.db.engine import Database
from control_plane.webhooks import queue
from control_plane.webhooks.queue import Tried
from process.logs import get_logger

MOST_AT_ONCE = 500
_AGAIN_S = 1.0
log = get_logger(__name__)


class Recorder:
    """Writes down what came of tries; runs while something waits."""

    def __init__(self, database: Database):
        self._database = database
        self._waiting: list[tuple[Tried, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, tried: Tried) -> None:
        """Return once `tried` is stored, or its claim has lapsed and it changes nothing."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tried, stored))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._empty())
        await stored

    async def stop(self) -> None:
        """Write no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _empty(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            await self._store([tried for tried, _ in batch])
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(None)

    async def _store(self, batch: list[Tried]) -> None:
        while True:
            try:
                async with self._database.transaction() as db:
                    lapsed = await queue.store(db, batch)
            except (SQLAlchemyError, OSError) as exc:
                # What is not written is sent again: by this process later, or by another.
                log.warning("tries of webhooks were not written, trying again", error=exc)
                await asyncio.sleep(_AGAIN_S)
                continue
            for each in lapsed:
                log.info("a webhook's claim had lapsed", delivery_id=each.claimed.id)
            return
