"""Which of the orders that somebody follows have changed: one query for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec import Struct
from sqlalchemy import func, select

from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.wake import Bell
from control_plane.streams import SharedLook

_AT_ONCE = 500


class _Watched(Struct):
    bell: Bell
    followers: int = 0
    known: tuple[str, int] | None = None


class OrderWatch(SharedLook):
    """Rings for who follows an order once it has a new event or another status."""

    def __init__(self, database: Database):
        super().__init__(database)
        self._orders: dict[str, _Watched] = {}

    @contextlib.contextmanager
    def watching(self, order_id: str) -> Iterator[Bell]:
        """Yield a bell of this order while the context is open."""
        watched = self._orders.setdefault(order_id, _Watched(Bell()))
        watched.followers += 1
        self._join()
        try:
            yield watched.bell
        finally:
            self._leave()
            watched.followers -= 1
            if watched.followers == 0:
                del self._orders[order_id]

    async def _look(self) -> None:
        wanted = list(self._orders)
        for at in range(0, len(wanted), _AT_ONCE):
            await self._look_at(wanted[at : at + _AT_ONCE])

    async def _look_at(self, wanted: list[str]) -> None:
        newest = (
            select(func.coalesce(func.max(CallEventRow.sequence), 0))
            .where(CallEventRow.order_id == CallOrder.id)
            .scalar_subquery()
        )
        query = select(CallOrder.id, CallOrder.status, newest).where(CallOrder.id.in_(wanted))
        async with self._database.reading() as session:
            found = (await session.execute(query)).all()
        for order_id, status, sequence in found:
            watched = self._orders.get(order_id)
            if watched is not None and watched.known != (status, sequence):
                watched.known = (status, sequence)
                watched.bell.ring()
