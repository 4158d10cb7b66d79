"""Which calls are in a room: asked of livekit-server, which has it from the SIP service."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from livekit import api
from livekit.api.room_service import RoomService
from livekit.protocol.models import ParticipantInfo

from sip.failures import DIAL_ERRORS
from sip.ports import Caller, CallRoom, SipTrouble

LIMIT_S = 3.0
"""Somebody's phone rings meanwhile."""


class LiveKitCallRooms:
    """Looks at rooms through livekit-server's API."""

    def __init__(self, service: RoomService):
        self._service = service

    async def get_room(self, room_name: str) -> CallRoom | None:
        """Return the room with the phones in it, or null when there is no such room."""
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._load(room_name)
        except DIAL_ERRORS as exc:
            if isinstance(exc, api.ServerError) and exc.code == api.TwirpErrorCode.NOT_FOUND:
                return None  # it was closed between the two requests
            raise SipTrouble(str(exc) or type(exc).__name__) from exc

    async def _load(self, room_name: str) -> CallRoom | None:
        found = await self._service.list_rooms(api.ListRoomsRequest(names=[room_name]))
        room = next((each for each in found.rooms if each.name == room_name), None)
        if room is None:
            return None
        inside = await self._service.list_participants(api.ListParticipantsRequest(room=room_name))
        phones = (each for each in inside.participants if each.kind == ParticipantInfo.Kind.SIP)
        by_age = sorted(phones, key=lambda each: each.joined_at_ms)
        return CallRoom(
            datetime.fromtimestamp(room.creation_time, UTC), tuple(map(_caller, by_age))
        )


def _caller(phone: ParticipantInfo) -> Caller:
    facts = phone.attributes
    return Caller(
        identity=phone.identity,
        sip_trunk_id=facts.get("sip.trunkID", ""),
        called_number=facts.get("sip.trunkPhoneNumber", ""),
        calling_number=facts.get("sip.phoneNumber", ""),
        sip_call_id=facts.get("sip.callIDFull", ""),
    )
