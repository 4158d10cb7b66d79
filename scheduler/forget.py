"""What is kept for a while only: answers of idempotent requests, sent messages."""

from __future__ import annotations

from datetime import timedelta

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.orders import idempotency
from control_plane.webhooks import retention

_AT_ONCE = 500
"""Rows in one transaction: others wait for it, on SQLite."""


class Forgetter:
    """Deletes what is older than it must be."""

    def __init__(self, database: Database, *, messages_kept: timedelta):
        self._database = database
        self._messages_kept = messages_kept

    async def forget(self) -> None:
        """Delete everything that is old."""
        async with self._database.transaction() as session:
            await idempotency.forget_old(session, await read_clock(session))
        while await self._forget_messages():
            pass

    async def _forget_messages(self) -> int:
        async with self._database.transaction() as session:
            cutoff = await read_clock(session) - self._messages_kept
            return await retention.forget_before(session, cutoff, limit=_AT_ONCE)
