"""What a stranger's connection may hold of the API: raw sockets against the real listener."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from control_plane.http.limits import LimitedProtocol, Limits
from tests.served import listening, served

pytestmark = pytest.mark.db

PATIENCE_S = 10.0
START = b"POST /livekit/webhook HTTP/1.1\r\nHost: x\r\n"


class Quick(LimitedProtocol):
    """The limits, with deadlines that a test can wait for."""

    limits = Limits(header_s=0.3, body_s=0.3, body_rate=1024 * 1024)


class Stranger:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Stranger:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> bool:
        """Return whether the far end still takes what is sent."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return not self._reader.at_eof()

    async def rest(self) -> bytes:
        """Everything until the far end closes; it must do so."""
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while piece := await self._reader.read(65536):
                    got += piece
        return got

    async def answer(self) -> bytes:
        """The next status line."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readline()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def ask(port: int, *pieces: bytes) -> bytes:
    """Send pieces until the far end closes; what it said."""
    stranger = await Stranger.connect(port)
    try:
        for piece in pieces:
            if not await stranger.send(piece):
                break
        return await stranger.rest()
    finally:
        await stranger.close()


async def test_headers_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app) as port:
        many = b"".join(b"X-%d: 1\r\n" % at for at in range(120))
        for flood in (
            [START, b"X: ", *[b"a" * 4096] * 30],
            [START, *[b"X: " + b"a" * 4000 + b"\r\n"] * 30],
            [b"GET /", *[b"a" * 4096] * 30],
            [START, many],
        ):
            assert (await ask(port, *flood))[:12] in (b"HTTP/1.1 431", b"")  # b"": reset came first
        assert (await ask(port, START, many)).startswith(b"HTTP/1.1 431")


async def test_one_connection_takes_no_more_than_the_limit_of_a_flood(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app) as port:
        stranger = await Stranger.connect(port)
        sent = len(START)
        await stranger.send(START + b"X: ")
        while sent < 50_000_000 and await stranger.send(b"a" * 65536):
            sent += 65536
        await stranger.rest()
        await stranger.close()
        assert sent < 50_000_000


async def test_trailers_are_bounded_too(tmp_path: Path) -> None:
    body = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    async with served(tmp_path) as api, listening(api.app) as port:
        for trailers in ([b"X: 1\r\n" * 200], [b"X: ", *[b"a" * 65536] * 40]):
            stranger = await Stranger.connect(port)
            taken = [await stranger.send(piece) for piece in (START + body, *trailers)]
            await stranger.rest()
            await stranger.close()
            assert len(taken) == len(trailers) + 1


@pytest.mark.parametrize("begun", [b"", b"\r\n", START, START + b"X: half"])
async def test_headers_have_a_deadline(tmp_path: Path, begun: bytes) -> None:
    async with served(tmp_path) as api, listening(api.app, protocol=Quick) as port:
        said = await ask(port, begun)
    assert b"HTTP/1.1 408" in said


async def test_an_empty_line_does_not_keep_an_idle_connection(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app, protocol=Quick) as port:
        stranger = await Stranger.connect(port)
        await stranger.send(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        while (await stranger.answer()) != b"\r\n":
            pass  # until the answer is over, and with it uvicorn's reason to wait for anything
        await stranger.send(b"\r\n")
        assert (await stranger.rest()).startswith(b"HTTP/1.1 408")
        await stranger.close()


async def test_a_body_before_authentication_has_a_deadline_and_a_size(tmp_path: Path) -> None:
    length = b"Content-Type: application/webhook+json\r\nContent-Length: 1000\r\n\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with served(tmp_path) as api, listening(api.app, protocol=Quick) as port:
        for begun in (length, length + b"{", chunks):
            assert (await ask(port, START + begun)).startswith(b"HTTP/1.1 408")
        huge = START + b"Content-Length: 99999999\r\n\r\n"
        assert (await ask(port, huge, b"x" * 100_000)).startswith(b"HTTP/1.1 4")


async def test_a_refused_request_does_not_hold_its_connection_with_a_body(tmp_path: Path) -> None:
    begun = b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    async with served(tmp_path) as api, listening(api.app, protocol=Quick) as port:
        said = await ask(port, begun)  # 401 at once; the rest of the body never comes
    assert said.startswith(b"HTTP/1.1 401")


class Rate(LimitedProtocol):
    """Each byte of a body buys a tenth of a second."""

    limits = Limits(body_s=0.4, body_rate=10)


async def test_a_body_that_keeps_coming_has_more_time(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app, protocol=Rate) as port:
        clock = asyncio.get_running_loop().time
        began = clock()
        late = await ask(port, START + b"Content-Length: 9\r\n\r\n", b"12345678")
        assert clock() - began > 1.0
        assert late.startswith(b"HTTP/1.1 408")
        head = START + b"Connection: close\r\nContent-Length: 9\r\n\r\n"
        assert (await ask(port, head, b"12345678", b"9")).startswith(b"HTTP/1.1 401")


class Few(LimitedProtocol):
    """Three connections at once."""

    limits = Limits(connections=3)


async def test_connections_are_counted_before_they_ask(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app, protocol=Few) as port:
        held = [await Stranger.connect(port) for _ in range(3)]
        request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for _ in range(5):
            assert (await ask(port)).startswith(b"HTTP/1.1 503")
        await held[2].send(request)  # the refused ones do not count
        assert not (await held[2].rest()).startswith(b"HTTP/1.1 503")
        for stranger in held:
            await stranger.close()
        for _ in range(100):  # the listener learns of the closing in its own time
            if (said := await ask(port, request)) and not said.startswith(b"HTTP/1.1 503"):
                break
        assert said.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))


async def test_a_kept_connection_serves_many_requests(tmp_path: Path) -> None:
    async with served(tmp_path) as api, listening(api.app) as port:
        stranger = await Stranger.connect(port)
        for _ in range(5):
            await stranger.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await stranger.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = await stranger.rest()
        await stranger.close()
    assert said.count(b"HTTP/1.1 404") == 11
