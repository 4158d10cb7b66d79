"""Orders go on once their organization is resumed."""

from __future__ import annotations

from control_plane.compliance import suspended
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.organizations import suspension


class Resumer:
    """Lets go what a suspension held; the rows say what, so that a crash on the way loses none."""

    def __init__(self, database: Database):
        self._database = database

    async def release(self) -> None:
        """Let the gate look again at each held order of organizations that are not suspended."""
        async with self._database.reading() as db:
            owners = await suspension.resumed(db)
        for owner in owners:
            while await self._release_some(owner):
                pass

    async def _release_some(self, organization_id: str) -> int:
        async with self._database.transaction() as db:
            if await suspended.suspended_of(db, [organization_id]):
                return 0
            now = await read_clock(db)
            return await suspension.release_some(db, organization_id, now=now)
