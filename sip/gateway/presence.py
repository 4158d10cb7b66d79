"""Who is in a room, asked of livekit-server.

It tells a participant of another who only listens up to three seconds after that one hears, and of
a hidden one never; asked over its API, it knows both at once.
"""

from __future__ import annotations

from collections.abc import Collection

import aiohttp
from livekit import api
from livekit.protocol.models import ParticipantInfo

from process.logs import get_logger
from sip.gateway.rooms import Server

log = get_logger("sip.gateway.presence")
_LIMIT_S = 2.0


class Presence:
    """Asks for all calls of this process, over one connection pool."""

    def __init__(self, server: Server):
        self._server = server
        self._client: api.LiveKitAPI | None = None

    @property
    def client(self) -> api.LiveKitAPI:
        """What asks; others may, too."""
        if self._client is None:
            server = self._server
            timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
            self._client = api.LiveKitAPI(server.url, server.key, server.secret, timeout=timeout)
        return self._client

    async def others(self, room: str, than: Collection[str]) -> bool | None:
        """Whether anybody but these identities is in a room; None when the server does not say."""
        try:
            answer = await self.client.room.list_participants(
                api.ListParticipantsRequest(room=room)
            )
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            log.debug("who is in the room is not known", room=room, error=error)
            return None
        return any(
            each.identity not in than and each.state != ParticipantInfo.State.DISCONNECTED
            for each in answer.participants
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
