"""Whether there is a call for the agent that asks: what LiveKit signed, and what it has."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from control_plane.domain.errors import Busy, Conflict, NotFound
from control_plane.keys.join_tokens import Join, JoinTokens
from process.logs import get_logger
from sip.ports import Caller, CallRooms, SipTrouble

OLDEST_ROOM = timedelta(minutes=5)
"""No caller waits that long for an agent; a room lives as long as its call."""
log = get_logger(__name__)


class Arrival(Struct, frozen=True):
    """An agent's job, and the phones in its room, at least one, in the order of their coming."""

    join: Join
    callers: tuple[Caller, ...]


class Arrivals:
    """Looks whether a call came in for an agent, without the database."""

    def __init__(self, tokens: JoinTokens, rooms: CallRooms):
        self._tokens = tokens
        self._rooms = rooms

    async def find(self, token: str, *, now: datetime) -> Arrival:
        """Return what came into the room that `token` lets an agent into.

        Raises:
            NotAuthenticated, NotAllowed: LiveKit signed no such token, or for somebody else.
            Busy: LiveKit does not say, or nobody has come yet: ask again.
            NotFound: there is no such room.
            Conflict: the room is too old for a call that nobody has answered.
        """
        join = self._tokens.verify(token)
        try:
            room = await self._rooms.get_room(join.room)
        except SipTrouble as exc:
            log.warning("LiveKit cannot be asked about a call", room=join.room, error=exc)
            raise Busy(
                "LiveKit cannot be asked about the room now: ask again", retry_after_secs=1
            ) from exc
        if room is None:
            raise NotFound("there is no such room: nobody is calling")
        age = now - room.created_at
        if age > OLDEST_ROOM:
            raise Conflict(
                f"the room is {age.total_seconds():.0f} s old, and an agent has "
                f"{OLDEST_ROOM.total_seconds():.0f} s to ask for the call in it; if it is new, "
                "the clocks of LiveKit's machine and of the control plane's differ"
            )
        if not room.callers:
            raise Busy("no phone is in the room yet: ask again", retry_after_secs=1)
        return Arrival(join, room.callers)
