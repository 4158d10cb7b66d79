"""Events on their way out: from the outbox to one delivery for each receiver."""

from __future__ import annotations

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

    async def relay_some(self) -> int:
        """Relay the oldest events and return how many; 0 when none waits or another relay is at it.

        A look that finds nothing takes no lock.
        """
        async with self._database.reading() as session:
            if not await outbox.is_waiting(session):
                return 0
        async with self._database.transaction() as session:
            now = await read_clock(session)
            return await outbox.relay(session, self._vault, self._views, now=now, limit=BATCH)
