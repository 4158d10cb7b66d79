"""Rooms: what the scheduler asks of livekit-server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import aiohttp
from livekit import api
from livekit.protocol.models import ParticipantInfo
from msgspec import Struct

from sip import leaving

EMPTY_TIMEOUT_S = 60
DEPARTURE_TIMEOUT_S = 20


class RoomTrouble(Exception):
    """livekit-server did not do what it was asked; the text says why."""


class Present(Struct, frozen=True, kw_only=True):
    """Somebody in a room; `call_status` is the SIP service's word (`active`, `ringing` …)."""

    identity: str
    is_agent: bool
    is_phone: bool
    call_status: str = ""


class Rooms(Protocol):
    """Keeps rooms; every method raises `RoomTrouble`."""

    async def open(
        self,
        room_name: str,
        *,
        agent_name: str,
        metadata: str,
        departure_timeout_s: int = DEPARTURE_TIMEOUT_S,
    ) -> None:
        """Make the room, unless it is there, and ask for an agent in it.

        Args:
            departure_timeout_s: how long it stays when nobody but an agent is left.
        """
        ...

    async def send_agent(self, room_name: str, *, agent_name: str, metadata: str) -> None:
        """Ask for an agent in a room that is there.

        LiveKit asks its workers once: when none is there, or all are full, nobody comes.
        """
        ...

    async def who(self, room_name: str) -> list[Present]:
        """Return who is in the room; nobody when there is no such room."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all rooms."""
        ...

    async def close(self, room_name: str) -> None:
        """End the room and every call in it; one that is gone is closed already."""
        ...

    async def put_out(self, room_name: str, identity: str) -> None:
        """Hang up one participant of a room; who is gone is out already."""
        ...


class LiveKitRooms:
    """Keeps rooms through livekit-server's API."""

    def __init__(self, client: api.LiveKitAPI):
        self._client = client

    async def open(
        self,
        room_name: str,
        *,
        agent_name: str,
        metadata: str,
        departure_timeout_s: int = DEPARTURE_TIMEOUT_S,
    ) -> None:
        """Make the room and ask for an agent in it."""
        with _trouble():
            await self._client.room.create_room(
                api.CreateRoomRequest(
                    name=room_name,
                    empty_timeout=EMPTY_TIMEOUT_S,
                    departure_timeout=departure_timeout_s,
                )
            )
        await self.send_agent(room_name, agent_name=agent_name, metadata=metadata)

    async def send_agent(self, room_name: str, *, agent_name: str, metadata: str) -> None:
        """Ask for an agent in a room that is there."""
        with _trouble():
            await self._client.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=agent_name, room=room_name, metadata=metadata
                )
            )

    async def who(self, room_name: str) -> list[Present]:
        """Return who is in the room; nobody when there is no such room."""
        with _trouble():
            try:
                answer = await self._client.room.list_participants(
                    api.ListParticipantsRequest(room=room_name)
                )
            except api.ServerError as exc:
                if exc.code == api.TwirpErrorCode.NOT_FOUND:
                    return []
                raise
        return [
            Present(
                identity=each.identity,
                is_agent=each.kind == ParticipantInfo.Kind.AGENT,
                is_phone=each.kind == ParticipantInfo.Kind.SIP,
                call_status=each.attributes.get("sip.callStatus", ""),
            )
            for each in answer.participants
        ]

    async def names(self) -> list[str]:
        """Return the names of all rooms."""
        with _trouble():
            answer = await self._client.room.list_rooms(api.ListRoomsRequest())
        return [each.name for each in answer.rooms]

    async def close(self, room_name: str) -> None:
        """End the room and every call in it; one that is gone is closed already."""
        with _trouble():
            await leaving.end_room(self._client, room_name)

    async def put_out(self, room_name: str, identity: str) -> None:
        """Hang up one participant of a room; who is gone is out already."""
        with _trouble():
            await leaving.put_out(self._client, room_name, identity)


@contextlib.contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as exc:
        raise RoomTrouble(str(exc) or type(exc).__name__) from exc
