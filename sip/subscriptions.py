"""Who hears whom in a room: subscriptions to tracks, set by livekit-server's API.

A SIP service mixes for its phone what its participant is subscribed to, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

import aiohttp
from livekit import api

from sip import holding
from sip.leaving import put_out, unless_gone
from sip.ports import SipTrouble
from sip.settings import LiveKitSettings


class Subscriptions(Protocol):
    """Sets them in one room."""

    async def set(self, identity: str, track_sids: Collection[str], *, hears: bool) -> None:
        """Have a participant hear these tracks, or not; who is gone hears nothing.

        Raises:
            SipTrouble: LiveKit did not do it.
        """
        ...

    async def release(self, identity: str) -> None:
        """Let the sound of a call that was dialled `held` pass.

        Raises:
            SipTrouble: LiveKit did not do it.
        """
        ...

    async def put_out(self, identity: str) -> None:
        """Hang up a participant; who is gone is out already.

        Raises:
            SipTrouble: LiveKit did not do it.
        """
        ...


class RoomSubscriptions:
    """Those of one room; an async context manager, over one connection."""

    def __init__(self, settings: LiveKitSettings, room_name: str) -> None:
        self._settings = settings
        self._room_name = room_name

    async def set(self, identity: str, track_sids: Collection[str], *, hears: bool) -> None:
        """Have a participant hear these tracks, or not; who is gone hears nothing."""
        request = api.UpdateSubscriptionsRequest(
            room=self._room_name, identity=identity, track_sids=track_sids, subscribe=hears
        )
        with _troubles():
            await self._client.room.update_subscriptions(request)

    async def release(self, identity: str) -> None:
        """Let the sound of a call that was dialled `held` pass."""
        request = api.UpdateParticipantRequest(
            room=self._room_name, identity=identity, attributes=holding.RELEASED
        )
        with _troubles():
            await self._client.room.update_participant(request)

    async def put_out(self, identity: str) -> None:
        """Hang up a participant; who is gone is out already."""
        with _troubles():
            await put_out(self._client, self._room_name, identity)

    async def __aenter__(self) -> RoomSubscriptions:
        settings = self._settings
        self._client = api.LiveKitAPI(
            settings.http_url, settings.api_key, settings.api_secret, failover=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


@contextmanager
def _troubles() -> Iterator[None]:
    """Say in our words that LiveKit did not do it; that somebody is gone is no trouble."""
    try:
        with unless_gone():
            yield
    except (api.ServerError, aiohttp.ClientError, TimeoutError) as exc:
        raise SipTrouble(str(exc) or type(exc).__name__) from exc
