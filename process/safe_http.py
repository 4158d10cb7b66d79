"""HTTP to addresses that others chose: checked at connect, never redirected, bounded.

`Outbound` is the guard and the connections; `SafeTransport` puts it under an httpx client, and
`process.safe_http2` under an httpx2 one. Nothing here reads the environment: no proxy is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

import httpcore
import httpx
from msgspec import Struct

from process.addresses import Allowed, OutboundError, check_parts
from process.bounded_body import Decoder, Undecodable
from process.guarded_connect import (
    GuardedBackend,
    Resolver,
    resolve_by_system,
    trusted_authorities,
)
from process.idle_connections import Origin

ACCEPTED = b"gzip, deflate"


class TooLarge(OutboundError):
    """The answer is larger than the caller takes."""


class TimedOut(OutboundError):
    """The answer was not complete in time."""


class Unreachable(OutboundError):
    """Nobody answered, or what answered does not speak HTTP."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a request may take, from connecting to its last byte, and bring; and idle lines."""

    total_s: float = 15.0
    body_bytes: int = 1024 * 1024
    header_bytes: int = 32 * 1024
    idle_s: float = 20.0


class HttpResponse(Struct, frozen=True):
    """A status, its headers, and the body as it arrives."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Body
    extensions: dict[str, Any]


class Library(Protocol):
    """What is used of httpcore, and of its twin httpcore2."""

    AsyncHTTPConnection: Any
    Request: Any
    URL: Any
    ConnectError: Any
    NetworkError: Any
    ProtocolError: Any
    TimeoutException: Any


class Outbound:
    """Sends requests within `limits` to addresses that are public or `allowed`."""

    def __init__(
        self,
        allowed: Allowed,
        limits: Limits,
        *,
        resolve: Resolver = resolve_by_system,
        tls: ssl.SSLContext | None = None,
        library: Library = httpcore,
    ):
        """Prepare; nothing is opened yet.

        Args:
            tls: how servers are verified; by the system's store and certifi's when absent.
            library: httpcore, or httpcore2 for clients of httpx2.
        """
        self._allowed = allowed
        self._limits = limits
        self._library = library
        self._tls = tls or trusted_authorities()
        self._backend = GuardedBackend(allowed, resolve)
        self._origins: dict[tuple[bytes, bytes, int], Origin] = {}
        self._swept_at = 0.0

    async def send(self, request: httpx.Request) -> HttpResponse:
        """Return the answer, its body still to be read; redirects are answers like any other.

        The caller must close the body.

        Raises:
            AddressRefused: the URL or its address is not allowed.
            TooLarge: the headers are.
            TimedOut: no answer within the limit.
            Unreachable: nobody answered HTTP.
        """
        url = request.url
        check_parts(url, self._allowed)
        now = asyncio.get_running_loop().time()
        deadline = now + self._limits.total_s
        wire = self._wire(request)
        origin = await self._origin(wire.url.origin, now)
        connection = await origin.pop() or self._connection(wire.url.origin)
        try:
            async with asyncio.timeout_at(deadline):
                raw = await connection.handle_async_request(wire)
        except BaseException as exc:
            await connection.aclose()
            failure = self._failure(exc)
            if failure is None:
                raise
            raise failure from exc
        body = Body(self, origin, connection, raw, deadline=deadline)
        try:
            return self._answer(raw, body)
        except OutboundError:
            await body.aclose()
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        for origin in self._origins.values():
            await origin.aclose()
        self._origins.clear()

    def _answer(self, raw: Any, body: Body) -> HttpResponse:
        if sum(len(name) + len(value) for name, value in raw.headers) > self._limits.header_bytes:
            raise TooLarge(f"the headers are larger than {self._limits.header_bytes} bytes")
        encoding = b",".join(v for k, v in raw.headers if k.lower() == b"content-encoding")
        try:
            body.decoder = Decoder(encoding)
        except Undecodable as exc:
            raise Unreachable(str(exc)) from exc
        gone = () if body.decoder.is_identity else (b"content-encoding", b"content-length")
        headers = [(k, v) for k, v in raw.headers if k.lower() not in gone]
        return HttpResponse(raw.status, headers, body, dict(raw.extensions))

    def _wire(self, request: httpx.Request) -> Any:
        url = request.url
        # Only encodings that can be undone in bounded pieces are asked for.
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"accept-encoding"]
        # The one deadline rules; the library's own timeouts would cost a timer per read.
        extensions = {k: v for k, v in request.extensions.items() if k == "trace"}
        return self._library.Request(
            method=request.method,
            url=self._library.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[*headers, (b"Accept-Encoding", ACCEPTED)],
            content=request.stream,
            extensions=extensions,
        )

    def _connection(self, origin: Any) -> Any:
        return self._library.AsyncHTTPConnection(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=self._limits.idle_s,
            network_backend=self._backend,
        )

    async def _origin(self, key: Any, now: float) -> Origin:
        idle_s = self._limits.idle_s
        if now - self._swept_at > idle_s:
            self._swept_at = now
            unused = [k for k, each in self._origins.items() if now - each.used_at > idle_s]
            for each in [self._origins.pop(k) for k in unused]:
                await each.aclose()
        name = (key.scheme, key.host, key.port)
        origin = self._origins.setdefault(name, Origin())
        origin.used_at = now
        return origin

    def _failure(self, exc: BaseException) -> OutboundError | None:
        """Return a failure of the connection in our words, None for what is not one."""
        if isinstance(exc, OutboundError):
            return None
        if isinstance(exc, TimeoutError | self._library.TimeoutException):
            return TimedOut(f"no complete answer within {self._limits.total_s:g} s")
        if isinstance(exc, ssl.SSLError):
            return Unreachable(f"TLS failed: {getattr(exc, 'verify_message', '') or exc.reason}")
        if isinstance(exc, self._library.ProtocolError):
            return Unreachable(f"the answer is not HTTP: {exc}")
        if isinstance(exc, OSError | EOFError | self._library.NetworkError):
            return Unreachable(f"the connection failed: {exc or type(exc).__name__}")
        return None


class Body:
    """The bytes of an answer, decompressed, within the limits of its request."""

    def __init__(
        self, outbound: Outbound, origin: Origin, connection: Any, raw: Any, *, deadline: float
    ):
        self.decoder = Decoder(b"")
        self._outbound = outbound
        self._origin = origin
        self._connection = connection
        self._raw = raw
        self._deadline = deadline
        self._open = True

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """Yield the pieces; raises TooLarge, TimedOut, Unreachable."""
        most, size = self._outbound._limits.body_bytes, 0
        parts = aiter(self._raw.stream)
        try:
            while True:
                async with asyncio.timeout_at(self._deadline):
                    part = await anext(parts, None)
                if part is None:
                    return
                for piece in self.decoder.pieces(part):
                    size += len(piece)
                    _check_size(size, most)
                    yield piece
        except Undecodable as exc:
            raise Unreachable(str(exc)) from exc
        except Exception as exc:
            failure = self._outbound._failure(exc)
            if failure is None:
                raise
            raise failure from exc

    async def read(self, most: int) -> bytes:
        """Return the first bytes, `most` at the most, and leave the rest unread."""
        held = bytearray()
        async with contextlib.aclosing(aiter(self)) as pieces:
            async for piece in pieces:
                held += piece
                if len(held) >= most:
                    break
        return bytes(held[:most])

    async def aclose(self) -> None:
        """Give the connection back, or close it when something was left unread."""
        if self._open:
            self._open = False
            await self._raw.aclose()
            await self._origin.give_back(self._connection)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"the body is larger than {most} bytes")


class _Stream(httpx.AsyncByteStream):
    """A body as httpx reads it."""

    def __init__(self, body: Body):
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        await self._body.aclose()


class SafeTransport(httpx.AsyncBaseTransport):
    """The guard under an httpx client; its errors are those of `Outbound.send`."""

    def __init__(self, outbound: Outbound):
        self._outbound = outbound

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer."""
        answer = await self._outbound.send(request)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer.body),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._outbound.aclose()


def safe_client(outbound: Outbound, **options: Any) -> httpx.AsyncClient:
    """Return a client that reaches the outside only through `outbound`."""
    return httpx.AsyncClient(
        transport=SafeTransport(outbound), trust_env=False, follow_redirects=False, **options
    )
