"""The guard under an httpx2 client, such as the openai library makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import httpcore2
import httpx
import httpx2

from process.safe_http import Body, Library, Outbound

LIBRARY = cast(Library, httpcore2)
"""Give it to the `Outbound` of a `SafeTransport2`."""


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, body: Body, silence_s: float | None):
        self._body = body
        self._silence_s = silence_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._body)
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece
        except TimeoutError as exc:
            raise httpx2.ReadTimeout(f"nothing came for {self._silence_s:g} s") from exc
        finally:
            await pieces.aclose()

    async def aclose(self) -> None:
        await self._body.aclose()


class SafeTransport2(httpx2.AsyncBaseTransport):
    """As `SafeTransport`, for httpx2; keeps to the client's read timeout beside the one deadline.

    A model that falls silent has to be noticed long before its longest answer would be over.
    """

    def __init__(self, outbound: Outbound):
        self._outbound = outbound

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer.

        Raises:
            OutboundError: as `Outbound.send` does.
            httpx2.ReadTimeout: nothing came for as long as the client waits.
        """
        silence_s: float | None = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(silence_s):
                # The two libraries' requests have the same attributes.
                answer = await self._outbound.send(cast(httpx.Request, request))
        except TimeoutError as exc:
            raise httpx2.ReadTimeout(f"no answer for {silence_s:g} s") from exc
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer.body, silence_s),
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
