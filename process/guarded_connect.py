"""Connecting to a name: looked up once, every address checked, then connected to as it is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import certifi
from aiohappyeyeballs import AddrInfoType, start_connection

from process.addresses import Allowed, check_addresses, plain_host
from process.lookups import Lookups

Resolver = Callable[[str, int], Awaitable[list[AddrInfoType]]]

EYEBALLS_S = 0.25

_lookups = Lookups()


async def resolve_by_system(host: str, port: int) -> list[AddrInfoType]:
    """Return what the system knows of `host`, as `socket.getaddrinfo` does."""
    found = _lookups.look_up(host, port)
    # Shielded: others may wait for the same look-up.
    return await asyncio.shield(asyncio.wrap_future(found))


async def connect_checked(
    host: str, port: int, allowed: Allowed, resolve: Resolver
) -> socket.socket:
    """Return a socket that is connected to an address of `host` that was checked.

    Raises:
        AddressRefused: one of its addresses is neither public nor allowed.
        OSError: it has none, or none answers.
    """
    found = await resolve(plain_host(host), port)
    check_addresses(host, [str(info[4][0]) for info in found], allowed)
    return await start_connection(found, happy_eyeballs_delay=EYEBALLS_S)


class GuardedBackend:
    """The network as httpcore sees it (`AsyncNetworkBackend`), with the check in between."""

    def __init__(self, allowed: Allowed, resolve: Resolver):
        self._allowed = allowed
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Return a connection to an address of `host` that was checked.

        Raises:
            AddressRefused: one of its addresses is neither public nor allowed.
            OSError: it has none, or none answers.
        """
        sock = await connect_checked(host, port, self._allowed, self._resolve)
        reader, writer = await asyncio.open_connection(sock=sock)
        return Stream(reader, writer)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> Stream:
        """Refuse: nothing outside is a file."""
        raise OSError("Unix sockets are not used")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Stream:
    """One connection (httpcore's `AsyncNetworkStream`); the caller's deadline rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what came; nothing at the end."""
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        if buffer:
            self._writer.write(buffer)
            await self._writer.drain()

    async def aclose(self) -> None:
        """Close without waiting for the other side, which may never answer."""
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """Return the same connection, encrypted and verified for `server_hostname`."""
        try:
            await self._writer.start_tls(
                ssl_context, server_hostname=plain_host(server_hostname or "")
            )
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a connection."""
        match info:
            case "is_readable":  # asked of an idle connection: has the other side gone away?
                return self._reader.at_eof() or self._writer.is_closing()
            case "ssl_object":
                return self._writer.get_extra_info("ssl_object")
            case "server_addr":
                return self._writer.get_extra_info("peername")
            case "client_addr":
                return self._writer.get_extra_info("sockname")
        return None


def trusted_authorities() -> ssl.SSLContext:
    """Return a context that verifies servers by the system's authorities and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
