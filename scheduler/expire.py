"""Orders whose time has run out, and those that wait for a slot nobody told them of."""

from __future__ import annotations

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.domain.gate import Rule
from control_plane.domain.transitions import Forbidden
from control_plane.orders import lifecycle, repository, slots

_AT_ONCE = 100
_MOST_KEYS = 1_000


class Expirer:
    """Ends overdue orders; a sweep, since an order that waits for a change has no due time."""

    def __init__(self, database: Database):
        self._database = database

    async def expire(self) -> None:
        """End every waiting order that is past its deadline."""
        while await self._expire_some() == _AT_ONCE:
            pass

    async def fill_slots(self) -> None:
        """Look again at one waiting order of each concurrency key: a net for a lost wake-up."""
        async with self._database.reading() as db:
            waiting = await slots.first_of_each_key(db, limit=_MOST_KEYS)
        for order in waiting:
            async with self._database.transaction() as db:
                await slots.call_next(db, order, await read_clock(db))

    async def _expire_some(self) -> int:
        async with self._database.reading() as db:
            now = await read_clock(db)
            if not await repository.overdue_orders(db, now=now, limit=1):
                return 0
        async with self._database.transaction() as db:
            now = await read_clock(db)
            overdue = await repository.overdue_orders(db, now=now, limit=_AT_ONCE)
            for order in overdue:
                fact = Forbidden(at=now, rule=Rule.EXPIRED)
                await lifecycle.apply(db, order, None, fact)
            return len(overdue)
