"""HTTP to addresses that others chose: checked at connect, never redirected, bounded.

`Outbound` is the guard and the connections, and goes under any httpx2 client, such as the openai
library makes. Nothing here reads the environment: no proxy is used.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

import httpcore2
import httpx2
from msgspec import Struct

from process.addresses import Allowed, OutboundError, Unreachable, check_parts
from process.bounded_body import Decoder
from process.guarded_connect import (
    GuardedBackend,
    Resolver,
    resolve_by_system,
    trusted_authorities,
)
from process.idle_connections import Origin

ACCEPTED = b"gzip, deflate"

T = TypeVar("T")


class TooLarge(OutboundError):
    """The answer is larger than the caller takes."""


class TimedOut(OutboundError):
    """The answer was not complete in time."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a request may take, from connecting to its last byte, and bring; and idle lines."""

    total_s: float = 15.0
    body_bytes: int = 1024 * 1024
    header_bytes: int = 32 * 1024
    idle_s: float = 20.0


class Outbound(httpx2.AsyncBaseTransport):
    """Sends requests within `limits` to addresses that are public or `allowed`."""

    def __init__(
        self,
        allowed: Allowed,
        limits: Limits,
        *,
        resolve: Resolver = resolve_by_system,
        tls: ssl.SSLContext | None = None,
    ):
        """Prepare; nothing is opened yet.

        Args:
            tls: how servers are verified; by the system's store and certifi's when absent.
        """
        self._allowed = allowed
        self._limits = limits
        self._tls = tls or trusted_authorities()
        self._backend = GuardedBackend(allowed, resolve)
        self._origins: dict[tuple[bytes, bytes, int], Origin] = {}
        self._swept_at = 0.0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer, its body still to be read; redirects are answers like any other.

        The caller must close the answer.

        Raises:
            AddressRefused: the URL or its address is not allowed.
            TooLarge: the headers are; the body, when it is read.
            TimedOut: no complete answer within the limit.
            Unreachable: nobody answered HTTP.
            httpx2.ReadTimeout: nothing came for as long as the client waits. A model that falls
                silent has to be noticed long before its longest answer would be over.
        """
        check_parts(request.url, self._allowed)
        now = asyncio.get_running_loop().time()
        waiting = _Waiting(
            limits=self._limits,
            deadline=now + self._limits.total_s,
            silence_s=request.extensions.get("timeout", {}).get("read") or math.inf,
        )
        wire = _wire(request)
        origin = await self._origin(wire.url.origin, now)
        connection = await origin.pop() or httpcore2.AsyncHTTPConnection(
            wire.url.origin,
            ssl_context=self._tls,
            keepalive_expiry=self._limits.idle_s,
            network_backend=self._backend,
        )
        try:
            raw = await waiting.wait_for(connection.handle_async_request(wire))
            body = _Body(raw, origin, connection, waiting)
        except BaseException:
            await connection.aclose()
            raise
        return httpx2.Response(
            raw.status, headers=body.headers, stream=body, extensions=dict(raw.extensions)
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for origin in self._origins.values():
            await origin.aclose()
        self._origins.clear()

    async def _origin(self, key: httpcore2.Origin, now: float) -> Origin:
        idle_s = self._limits.idle_s
        if now - self._swept_at > idle_s:
            self._swept_at = now
            unused = [k for k, each in self._origins.items() if now - each.used_at > idle_s]
            for each in [self._origins.pop(k) for k in unused]:
                await each.aclose()
        origin = self._origins.setdefault((key.scheme, key.host, key.port), Origin())
        origin.used_at = now
        return origin


class _Waiting(Struct, frozen=True, kw_only=True):
    """How long an answer is waited for."""

    limits: Limits
    deadline: float
    silence_s: float

    async def wait_for(self, step: Awaitable[T]) -> T:
        """Return what `step` brings; a failure of the connection is raised in our words."""
        silent_at = asyncio.get_running_loop().time() + self.silence_s
        try:
            async with asyncio.timeout_at(min(self.deadline, silent_at)) as limit:
                return await step
        except TimeoutError as exc:
            if limit.expired() and silent_at < self.deadline:
                raise httpx2.ReadTimeout(f"nothing came for {self.silence_s:g} s") from exc
            raise TimedOut(f"no complete answer within {self.limits.total_s:g} s") from exc
        except ssl.SSLError as exc:
            reason = getattr(exc, "verify_message", "") or exc.reason
            raise Unreachable(f"TLS failed: {reason}") from exc
        except httpcore2.ProtocolError as exc:
            raise Unreachable(f"the answer is not HTTP: {exc}") from exc
        except (OSError, EOFError, httpcore2.NetworkError) as exc:
            raise Unreachable(f"the connection failed: {exc or type(exc).__name__}") from exc


class _Body(httpx2.AsyncByteStream):
    """The bytes of an answer, decompressed, within the limits of its request."""

    def __init__(
        self,
        raw: httpcore2.Response,
        origin: Origin,
        connection: httpcore2.AsyncHTTPConnection,
        waiting: _Waiting,
    ) -> None:
        """Raise TooLarge when the headers are, Unreachable when the encoding was not accepted."""
        most = waiting.limits.header_bytes
        if sum(len(name) + len(value) for name, value in raw.headers) > most:
            raise TooLarge(f"the headers are larger than {most} bytes")
        names = b",".join(v for k, v in raw.headers if k.lower() == b"content-encoding")
        self._decoder = Decoder(names)
        gone = () if self._decoder.is_identity else (b"content-encoding", b"content-length")
        self.headers = [(k, v) for k, v in raw.headers if k.lower() not in gone]
        self._raw = raw
        self._origin = origin
        self._connection = connection
        self._waiting = waiting
        self._open = True

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        size, most = 0, self._waiting.limits.body_bytes
        parts: Any = aiter(self._raw.stream)  # type: ignore[arg-type]
        while (part := await self._waiting.wait_for(anext(parts, None))) is not None:
            for piece in self._decoder.pieces(part):
                size += len(piece)
                if size > most:
                    raise TooLarge(f"the body is larger than {most} bytes")
                yield piece

    async def aclose(self) -> None:
        """Give the connection back, or close it when something was left unread."""
        if self._open:
            self._open = False
            await self._raw.aclose()
            await self._origin.give_back(self._connection)


def _wire(request: httpx2.Request) -> httpcore2.Request:
    url = request.url
    # Only encodings that can be undone in bounded pieces are asked for.
    headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"accept-encoding"]
    # Without its extensions: the library's own timeouts would cost a timer per read.
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        ),
        headers=[*headers, (b"Accept-Encoding", ACCEPTED)],
        content=request.stream,
    )


def safe_client(outbound: Outbound, timeout: httpx2.Timeout | None = None) -> httpx2.AsyncClient:
    """Return a client that reaches the outside only through `outbound`."""
    return httpx2.AsyncClient(
        transport=outbound, trust_env=False, follow_redirects=False, timeout=timeout
    )
