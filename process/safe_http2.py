"""The guard under an httpx2 client, such as the openai library makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpcore2
import httpx
import httpx2

from process.safe_http import Body, Library, Outbound

LIBRARY = cast(Library, httpcore2)
"""Give it to the `Outbound` of a `SafeTransport2`."""


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, body: Body):
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


class SafeTransport2(httpx2.AsyncBaseTransport):
    """As `SafeTransport`, for httpx2."""

    def __init__(self, outbound: Outbound):
        self._outbound = outbound

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer."""
        # The two libraries' requests have the same attributes.
        answer = await self._outbound.send(cast(httpx.Request, request))
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer.body),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._outbound.aclose()


def safe_client2(outbound: Outbound, **options: Any) -> httpx2.AsyncClient:
    """Return a client that reaches the outside only through `outbound`."""
    return httpx2.AsyncClient(
        transport=SafeTransport2(outbound), trust_env=False, follow_redirects=False, **options
    )
