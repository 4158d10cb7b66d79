"""Events on their way out: from the outbox to one delivery for each receiver."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.orders.views import CallViews
from control_plane.webhooks import outbox

BATCH = 200


class Relay:
    """Empties the outbox."""

    def __init__(self, database: Database, vault: Vault, views: CallViews):
        self._database = database
        self._vault = vault
        self._views = views

    async def is_waiting(self, db: AsyncSession) -> bool:
        """Return whether an event waits."""
        return await outbox.is_waiting(db)

    async def relay(self, db: AsyncSession, *, now: datetime) -> int:
        """Relay the oldest events and return how many; 0 while another relay is at it."""
        return await outbox.relay(db, self._vault, self._views, now=now, limit=BATCH)

    async def relay_some(self) -> int:
        """Relay the oldest events in a transaction of their own; a look in vain takes no lock."""
        async with self._database.reading() as db:
            if not await self.is_waiting(db):
                return 0
        async with self._database.transaction() as db:
            return await self.relay(db, now=await read_clock(db))
