"""The guard under what speaks through aiohttp: plugins of providers, by HTTP and WebSocket."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_middlewares import ClientHandlerType

from process.addresses import AddressRefused, Allowed, check_addresses
from process.guarded_connect import Resolver, look_up_checked, resolve_by_system

_IDLE_S = 120.0
_MOST_CONNECTIONS = 50


class SafeSession:
    """What plugins use of an `aiohttp.ClientSession`; it reaches public and `allowed` addresses.

    Opened at first use, in the loop that uses it, and closed by its owner. Nothing is redirected,
    no proxy of the environment is used, no cookie kept. An address that is refused is an
    `aiohttp.ClientConnectionError`, whose cause is the `AddressRefused`.
    """

    def __init__(
        self, allowed: Allowed, tls: ssl.SSLContext, *, resolve: Resolver = resolve_by_system
    ) -> None:
        self._allowed = allowed
        self._tls = tls
        self._resolve = resolve
        self._session: aiohttp.ClientSession | None = None
        self.closed = False
        self.refused: AddressRefused | None = None
        """The last refusal: some plugins tell nobody what a connection failed of."""

    async def ws_connect(self, url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """Return an open WebSocket."""
        with self._telling():
            opened: aiohttp.ClientWebSocketResponse = await self._opened().ws_connect(
                url, **options
            )
        return opened

    def get(self, url: str, **options: Any) -> Any:
        """Return a context with the answer in it."""
        return self._request("GET", url, options)

    def post(self, url: str, **options: Any) -> Any:
        """Return a context with the answer in it."""
        return self._request("POST", url, options)

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def _request(
        self, method: str, url: str, options: dict[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        with self._telling():
            answer = await self._opened().request(method, url, **options)
        async with answer:
            yield answer

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell of a refusal as plugins expect failures: theirs to wrap, not to break over."""
        try:
            yield
        except AddressRefused as exc:
            self.refused = exc
            raise aiohttp.ClientConnectionError(str(exc)) from exc

    def _opened(self) -> aiohttp.ClientSession:
        if self.closed:
            raise RuntimeError("the session is closed")
        if self._session is None:
            guard = _Guard(self._allowed, self._resolve)
            connector = aiohttp.TCPConnector(
                resolver=guard,
                use_dns_cache=False,  # who is looked up is checked, each time
                socket_factory=guard.socket_for,
                ssl=self._tls,
                limit_per_host=_MOST_CONNECTIONS,
                keepalive_timeout=_IDLE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                middlewares=(_never_redirected,),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class _Guard(AbstractResolver):
    """Checks the addresses of names when they are looked up, and every one when a socket is made.

    An address in a URL is not looked up; one that only its name makes allowed is kept in mind.
    """

    def __init__(self, allowed: Allowed, resolve: Resolver) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._by_name: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await look_up_checked(host, port, self._allowed, self._resolve)
        self._by_name.update(str(info[4][0]) for info in found)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    def socket_for(self, info: Any) -> socket.socket:
        """Return a socket for an address that was checked."""
        family, kind, proto, _, address = info
        text = str(address[0])
        if text not in self._by_name:
            check_addresses(text, [text], self._allowed)
        return socket.socket(family=family, type=kind, proto=proto)

    async def close(self) -> None:
        pass


async def _never_redirected(
    request: aiohttp.ClientRequest, handler: ClientHandlerType
) -> aiohttp.ClientResponse:
    answer = await handler(request)
    if 300 <= answer.status < 400 and "Location" in answer.headers:
        answer.close()
        raise AddressRefused(
            f"it answered {answer.status}, which leads elsewhere: give the address itself"
        )
    return answer
