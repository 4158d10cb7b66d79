"""Which of the calls that somebody follows have changed: one query for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec import Struct
from sqlalchemy import func, literal, select

from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.session import Session
from control_plane.db.wake import ChangeNotifier
from control_plane.http.streams import SharedLook

_AT_ONCE = 500


class _Watched(Struct):
    changes: ChangeNotifier
    followers: int = 0
    known: tuple[str, int] | None = None


class CallWatch(SharedLook):
    """Rings for who follows a call once it has a new event or another status."""

    def __init__(self, database: Database):
        super().__init__(database)
        self._calls: dict[str, _Watched] = {}

    @contextlib.contextmanager
    def watching(self, call_id: str) -> Iterator[ChangeNotifier]:
        """Yield a changes of this call while the context is open."""
        watched = self._calls.setdefault(call_id, _Watched(ChangeNotifier()))
        watched.followers += 1
        self._join()
        try:
            yield watched.changes
        finally:
            self._leave()
            watched.followers -= 1
            if watched.followers == 0:
                del self._calls[call_id]

    async def _poll(self) -> None:
        wanted = list(self._calls)
        for at in range(0, len(wanted), _AT_ONCE):
            await self._load(wanted[at : at + _AT_ONCE])

    async def _load(self, wanted: list[str]) -> None:
        newest = (
            select(func.coalesce(func.max(CallEventRow.sequence), 0))
            .where(CallEventRow.call_id == CallOrder.id)
            .scalar_subquery()
        )
        query = select(CallOrder.id, CallOrder.status, newest).where(CallOrder.id.in_(wanted))
        # What nobody ordered says by its history alone whether it is over.
        came_in = (
            select(CallEventRow.call_id, literal(""), func.max(CallEventRow.sequence))
            .join(Session, Session.id == CallEventRow.call_id)
            .where(Session.id.in_(wanted))
            .group_by(CallEventRow.call_id)
        )
        async with self._database.reading() as db:
            found = [*await db.execute(query), *await db.execute(came_in)]
        for call_id, status, sequence in found:
            watched = self._calls.get(call_id)
            if watched is not None and watched.known != (status, sequence):
                watched.known = (status, sequence)
                watched.changes.notify()
