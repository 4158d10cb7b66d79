"""Calls that come in, as LiveKit tells of them: the tokens of its jobs, and its rooms in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from livekit import api
from msgspec import structs
from sqlalchemy import update

from control_plane.app import Resources
from control_plane.db.engine import Database
from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import Direction
from control_plane.internal.arrivals import Arrivals
from control_plane.keys.join_tokens import JoinTokens
from sip.ports import Caller, CallRoom, SipTrouble

KEY, SECRET = "key", "s" * 32
TRUNK = "ST_IN"
"""What the SIP service calls our inbound trunk, once `applied` has said so."""


class FakeCallRooms:
    """Rooms with phones in them; none are there until the test says so."""

    def __init__(self) -> None:
        self.rooms: dict[str, CallRoom] = {}
        self.down = False

    def ring(
        self, room_name: str, *callers: Caller, age: timedelta = timedelta(), **facts: str
    ) -> None:
        """Have a call come into a room: those given, else one with these facts."""
        came = callers or (caller(**facts),)
        self.rooms[room_name] = CallRoom(datetime.now(UTC) - age, came)

    def known_to(self, resources: Resources) -> Resources:
        """Return the resources of an installation whose LiveKit has these rooms."""
        asked = Arrivals(JoinTokens(KEY, SECRET), self)
        return structs.replace(resources, arrivals=asked)

    async def get_room(self, room_name: str) -> CallRoom | None:
        if self.down:
            raise SipTrouble("connection refused")
        return self.rooms.get(room_name)


def caller(**facts: str) -> Caller:
    """Return somebody who calls `agent` over our inbound trunk."""
    given = {
        "identity": "sip_+12025550111",
        "sip_trunk_id": TRUNK,
        "called_number": "agent",
        "calling_number": "+12025550111",
        "sip_call_id": "SCL_2",
    }
    return Caller(**{**given, **facts})


def job_token(
    room_name: str,
    identity: str = "agent-AJ_1",
    *,
    key: str = KEY,
    secret: str = SECRET,
    kind: api.AccessToken.ParticipantKind = "agent",
    ttl: timedelta = timedelta(hours=1),
    **grants: Any,
) -> dict[str, str]:
    """Return the headers of a worker that was given a job in a room."""
    video = api.VideoGrants(**{"room_join": True, "agent": True, "room": room_name, **grants})
    token = api.AccessToken(key, secret).with_kind(kind).with_identity(identity).with_ttl(ttl)
    return {"Authorization": f"Bearer {token.with_grants(video).to_jwt()}"}


async def applied(database: Database, sip_trunk_id: str = TRUNK) -> None:
    """Have the SIP service know the inbound trunks by that id."""
    async with database.transaction() as session:
        await session.execute(
            update(Trunk)
            .where(Trunk.direction == Direction.INBOUND, Trunk.sip_trunk_id.is_(None))
            .values(sip_trunk_id=sip_trunk_id)
        )
