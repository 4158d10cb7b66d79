"""Connecting to a name: looked up once, every address checked, then connected to as it is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import certifi
import httpcore2
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


async def look_up_checked(
    host: str, port: int, allowed: Allowed, resolve: Resolver
) -> list[AddrInfoType]:
    """Return what `host` stands for, as `resolve` does.

    Raises:
        AddressRefused: one of its addresses is neither public nor allowed.
        OSError: it has none.
    """
    found = await resolve(plain_host(host), port)
    check_addresses(host, [str(info[4][0]) for info in found], allowed)
    return found


async def connect_checked(
    host: str, port: int, allowed: Allowed, resolve: Resolver
) -> socket.socket:
    """Return a socket that is connected to an address of `host` that was checked.

    Raises as `look_up_checked` does, and an OSError when no address answers.
    """
    found = await look_up_checked(host, port, allowed, resolve)
    return await start_connection(found, happy_eyeballs_delay=EYEBALLS_S)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """The network as httpcore2 sees it, with the check in between."""

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
        """Return a connection to an address of `host`; raises as `connect_checked` does."""
        sock = await connect_checked(host, port, self._allowed, self._resolve)
        reader, writer = await asyncio.open_connection(sock=sock)
        return Stream(reader, writer)


class Stream(httpcore2.AsyncNetworkStream):
    """One connection; the caller's deadline rules."""

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
        """Return what httpcore2 asks of a connection."""
        if info == "is_readable":  # asked of an idle connection: has the other side gone away?
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info(info)


def trusted_authorities() -> ssl.SSLContext:
    """Return a context that verifies servers by the system's authorities and certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
