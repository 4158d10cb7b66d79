"""Callers to whom no agent came: LiveKit asked its workers once, and none of them had room."""

from __future__ import annotations

from sqlalchemy import select

from control_plane.db.engine import Database
from control_plane.db.models.session import Session
from control_plane.domain.brief import AGENT_NAME
from process.logs import get_logger
from scheduler.rooms import Rooms, RoomTrouble
from scheduler.trunks import ROOM_PREFIX, RULE_METADATA

log = get_logger(__name__)


class UnansweredCallers:
    """Sends another agent to who is alone in the room of a call that came in."""

    def __init__(self, database: Database, rooms: Rooms):
        self._database = database
        self._rooms = rooms
        self._alone: frozenset[str] = frozenset()

    async def check(self) -> None:
        """Look once; who was alone at the look before as well is sent an agent.

        A second one that is too many is told so, and leaves.
        """
        try:
            alone = await self._alone_now()
            for room_name in sorted(alone & self._alone):
                log.warning("nobody answers a caller: asking for an agent again", room=room_name)
                await self._rooms.send_agent(
                    room_name, agent_name=AGENT_NAME, metadata=RULE_METADATA
                )
            # Those have been asked for just now, and have until the look after the next.
            self._alone = alone - self._alone
        except RoomTrouble as exc:
            log.warning("callers cannot be looked for", error=exc)

    async def _alone_now(self) -> frozenset[str]:
        names = [each for each in await self._rooms.names() if each.startswith(ROOM_PREFIX)]
        if not names:
            return frozenset()
        async with self._database.reading() as db:
            answered = await db.scalars(
                select(Session.room_name).where(Session.room_name.in_(names))
            )
        found = set()
        for room_name in sorted(set(names) - set(answered)):
            present = await self._rooms.who(room_name)
            is_called = any(each.is_phone for each in present)
            if is_called and not any(each.is_agent for each in present):
                found.add(room_name)
        return frozenset(found)
