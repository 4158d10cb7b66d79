"""Where LiveKit and its SIP service are."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class LiveKitSettings(Struct, frozen=True, kw_only=True):
    """The server, the SIP service (the server itself unless told otherwise), and the key."""

    url: str = msgspec.field(name="LIVEKIT_URL", default="ws://127.0.0.1:7880")
    sip_url: str = msgspec.field(name="LIVEKIT_SIP_URL", default="")
    api_key: str = msgspec.field(name="LIVEKIT_API_KEY")
    api_secret: str = msgspec.field(name="LIVEKIT_API_SECRET")

    @property
    def http_url(self) -> str:
        """Return the server's address for API requests."""
        return as_http(self.url)

    @property
    def sip_http_url(self) -> str:
        """Return the SIP service's address for API requests."""
        return as_http(self.sip_url or self.url)


def as_http(url: str) -> str:
    """Return a `ws` or `wss` address as the `http` or `https` one of the same server."""
    for socket, plain in (("ws://", "http://"), ("wss://", "https://")):
        if url.startswith(socket):
            return plain + url.removeprefix(socket)
    return url
