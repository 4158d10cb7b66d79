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

    async def is_waiting(self, session: AsyncSession) -> bool:
        """Return whether an event waits."""
        return await outbox.is_waiting(session)

    async def relay(self, session: AsyncSession, *, now: datetime) -> int:
        """Relay the oldest events and return how many; 0 while another relay is at it."""
        return await outbox.relay(session, self._vault, self._views, now=now, limit=BATCH)

    async def relay_some(self) -> int:
        """Relay the oldest events in a transaction of their own; a look in vain takes no lock."""
        async with self._database.reading() as session:
            if not await self.is_waiting(session):
                return 0
        async with self._database.transaction() as session:
            return await self.relay(session, now=await read_clock(session))
