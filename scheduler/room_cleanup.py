"""After a call: its room is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import update

from control_plane.browser import repository as browser_sessions
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.session import Session
from control_plane.domain.browser import ROOM_PREFIX
from control_plane.orders import repository
from process.logs import get_logger
from scheduler.rooms import Rooms, RoomTrouble

_AT_ONCE = 400
"""Rows of one statement; SQLite's oldest limit of values is 999."""

log = get_logger(__name__)


class RoomCleanup:
    """Leaves nothing behind."""

    def __init__(self, database: Database, rooms: Rooms):
        self._database = database
        self._rooms = rooms

    async def delete_rooms(self) -> None:
        """Delete the rooms of closed sessions."""
        async with self._database.reading() as db:
            closed = await repository.rooms_to_delete(db)
        deleted = []
        for each in closed:
            try:
                await self._rooms.close(each.room_name)
            except RoomTrouble as exc:
                log.warning("a room was not deleted", attempt_id=each.id, error=exc)
            else:
                deleted.append(each.id)
        for some in _pieces(deleted):
            async with self._database.transaction() as db:
                now = await read_clock(db)
                await db.execute(
                    update(Session).where(Session.id.in_(some)).values(room_deleted_at=now)
                )

    async def close_strays(self) -> None:
        """Close rooms of browser sessions that are over: a token lets into a room made anew."""
        try:
            names = await self._rooms.names()
            there = [each for each in names if each.startswith(ROOM_PREFIX)]
            for some in _pieces(there):
                async with self._database.reading() as db:
                    strays = await browser_sessions.over(db, some)
                for each in sorted(strays):
                    await self._rooms.close(each)
        except RoomTrouble as exc:
            log.warning("rooms cannot be looked through", error=exc)


def _pieces(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))
