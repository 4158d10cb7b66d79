"""The guard under the websockets library: checked at connect, never redirected."""

from __future__ import annotations

import http
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.genai import live
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from process.addresses import AddressRefused, Allowed
from process.safe_websocket import SafeConnect, SafeConnection, connection_to
from speech.providers import google

pytestmark = pytest.mark.unit

LOOPBACK = Allowed.parse("127.0.0.0/8")


class Server:
    """Counts who connects, and sends them on where `leads_to` says so."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0
        self.leads_to = ""

    def on_request(self, connection: ServerConnection, _request: Request) -> Response | None:
        self.asked += 1
        if not self.leads_to:
            return None
        answer = connection.respond(http.HTTPStatus.TEMPORARY_REDIRECT, "")
        answer.headers["Location"] = self.leads_to
        return answer


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serve(echo, "127.0.0.1", 0, process_request=made.on_request) as running:
        made.port = next(iter(running.sockets)).getsockname()[1]
        yield made


async def test_what_is_allowed_is_connected_to(server: Server) -> None:
    uri = f"ws://127.0.0.1:{server.port}/"
    async with SafeConnect(uri, create_connection=connection_to(LOOPBACK)) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"


@pytest.mark.parametrize("kind", [None, ClientConnection, SafeConnection])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", "[::1]"])
async def test_without_leave_only_public_addresses_are(
    server: Server, host: str, kind: Any
) -> None:
    with pytest.raises(AddressRefused, match="is not a public address"):
        await SafeConnect(f"ws://{host}:{server.port}/", create_connection=kind)
    assert server.asked == 0


async def test_a_name_is_checked_by_what_it_stands_for(server: Server) -> None:
    async def resolve(_host: str, port: int) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    class Public(SafeConnection):
        pass

    Public.resolve = staticmethod(resolve)
    with pytest.raises(AddressRefused, match=r"example\.com \(127\.0\.0\.1\)"):
        await SafeConnect(f"ws://example.com:{server.port}/", create_connection=Public)
    Public.allowed = Allowed.parse("example.com")
    async with SafeConnect(f"ws://example.com:{server.port}/", create_connection=Public):
        assert server.asked == 1


async def test_a_redirect_is_not_followed(server: Server) -> None:
    other = Server()
    async with serve(echo, "127.0.0.1", 0, process_request=other.on_request) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        server.leads_to = f"ws://127.0.0.1:{port}/"
        with pytest.raises(InvalidStatus, match="307"):
            await SafeConnect(
                f"ws://127.0.0.1:{server.port}/", create_connection=connection_to(LOOPBACK)
            )
    assert (server.asked, other.asked) == (1, 0)


def test_googles_client_connects_by_it() -> None:
    assert google.realtime is not None
    assert vars(live)["ws_connect"] is SafeConnect
