"""What a stranger's connection may hold of the gateway's Twirp listener."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from google.protobuf import empty_pb2
from livekit import api
from livekit.protocol.sip import TransferSIPParticipantRequest

from sip.gateway.twirp import Method, application, needs
from sip.listener import Listener
from tests.raw_http import ask

pytestmark = pytest.mark.unit

KEY, SECRET = "key", "s" * 32
START = b"POST /twirp/livekit.SIP/Nothing HTTP/1.1\r\nHost: x\r\n"
JSON = b"Content-Type: application/json\r\n"


@contextlib.asynccontextmanager
async def listening(*, most: int = 50, idle_s: float = 5.0) -> AsyncIterator[int]:
    async def serve(_: object) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    methods = {
        "Nothing": Method(empty_pb2.Empty, needs("call"), serve),
        "Transfer": Method(TransferSIPParticipantRequest, needs("call"), serve),
    }
    app = application(methods, KEY, SECRET, lambda: True, body_s=0.3)
    listener = Listener(app, most=most, idle_s=idle_s)
    try:
        yield await listener.start("127.0.0.1", 0)
    finally:
        await listener.stop()


def _token() -> bytes:
    token = api.AccessToken(KEY, SECRET).with_sip_grants(api.SIPGrants(call=True)).to_jwt()
    return b"Authorization: Bearer " + token.encode() + b"\r\n"


async def test_headers_are_bounded_in_size_and_number() -> None:
    async with listening() as port:
        for flood in (
            [START, b"X: ", *[b"a" * 4096] * 200],
            [START, b"X: 1\r\n" * 100, b"\r\n"],
            [b"GET /", *[b"a" * 4096] * 20],
        ):
            assert (await ask(port, *flood))[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b"")


@pytest.mark.parametrize("begun", [b"", b"\r\n", START, START + b"X: half"])
async def test_headers_have_a_deadline(begun: bytes) -> None:
    async with listening(idle_s=0.3) as port:
        assert await ask(port, begun) == b""


async def test_a_body_has_a_deadline_and_is_not_read_without_a_token() -> None:
    body = b"Connection: close\r\nContent-Length: 100\r\n\r\n{"
    async with listening() as port:
        late = await ask(port, START + JSON + _token() + body)
        assert late.startswith(b"HTTP/1.1 408")
        assert b"deadline_exceeded" in late
        stranger = await ask(port, START + JSON + body)
        assert stranger.startswith(b"HTTP/1.1 401")
        small = b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
        assert (await ask(port, START + JSON + _token() + small)).startswith(b"HTTP/1.1 200")


async def test_a_deep_body_is_refused() -> None:
    deep = b"[" * 100_000
    head = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(deep)
    async with listening() as port:
        said = await ask(port, START + JSON + _token() + head + deep)
    assert b'"malformed"' in said


async def test_connections_are_counted_before_they_ask() -> None:
    async with listening(most=2) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await ask(port, request))[:12] in (b"HTTP/1.1 503", b"")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        said = b""
        for _ in range(200):  # it learns of the closing in its own time
            if (said := await ask(port, request)).startswith(b"HTTP/1.1 200"):
                break
        assert said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("seconds", "status"), [(60, 200), (2**62, 400), (-(2**62), 400)])
async def test_a_duration_beyond_its_range_is_refused_by_name(seconds: int, status: int) -> None:
    asked = TransferSIPParticipantRequest(room_name="room")
    asked.ringing_timeout.seconds = seconds
    body = asked.SerializeToString()
    head = (
        b"POST /twirp/livekit.SIP/Transfer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/protobuf\r\n" + _token()
    )
    async with listening() as port:
        answer = await ask(port, head, b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer
    assert (b"ringing_timeout" in answer) == (status == 400)
