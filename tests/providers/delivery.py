"""The one place that obeys a `Behaviour`: how any server's answer reaches its client."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from tests.providers.behaviour import Behaviour, Fault
from tests.providers.journal import Journal

Wire = str | bytes


class Refused(Exception):
    """The request is refused with this status, in the shape that its server knows."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class Cut(Exception):
    """The answer ended before its end, as its behaviour asks; its connection is closed."""


class Sink(Protocol):
    """A way to a client."""

    broken: Wire
    """What stands for a piece where nonsense is asked for."""

    async def write(self, wire: Wire) -> None:
        """Send a piece."""
        ...

    async def close(self) -> None:
        """End the connection in order, before the answer is complete."""
        ...

    def abort(self) -> None:
        """Drop the connection."""
        ...


class HttpSink:
    """A streamed HTTP response; its headers go out with its first piece."""

    def __init__(self, request: web.Request, content_type: str, broken: Wire) -> None:
        self.broken = broken
        self._request = request
        self.response = web.StreamResponse(
            headers={"Content-Type": content_type, "x-request-id": "req_local"}
        )

    async def write(self, wire: Wire) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        data = wire.encode() if isinstance(wire, str) else wire
        if data:
            await self.response.write(data)

    async def close(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()

    def abort(self) -> None:
        drop(self._request)


class SocketSink:
    """A WebSocket, a text frame for each piece."""

    broken: Wire = '{"type": "chunk", "data": '

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request = request
        self._socket = socket

    async def write(self, wire: Wire) -> None:
        if isinstance(wire, str):
            await self._socket.send_str(wire)
        else:
            await self._socket.send_bytes(wire)

    async def close(self) -> None:
        await self._socket.close(code=1011, message=b"truncated")

    def abort(self) -> None:
        drop(self._request)


class Answer:
    """One answer to one request.

    `begin` before anything else, then frames (what frames the content: role, start, end) and
    content (text, audio), in order, then `end`.
    """

    def __init__(self, sink: Sink, behaviour: Behaviour, journal: Journal, capability: str) -> None:
        self.behaviour = behaviour
        self.number = journal.number()
        self.told: dict[str, Any] = {}
        """What the journal is to know of the answer once it is complete."""
        self._sink = sink
        self._journal = journal
        self._capability = capability
        self._pieces = 0
        self._bytes = 0

    def note(self, event: str, **asked: Any) -> None:
        """Write in the journal."""
        self._journal.add(self._capability, event, self.number, **asked)

    async def begin(self) -> None:
        """Wait as long as the client is to wait for the first byte.

        Raises:
            Refused: the behaviour has a status.
            Cut: the connection was dropped.
        """
        await self._pause(self.behaviour.latency_ms)
        await self._stop_here()
        if self.behaviour.status is not None:
            self.note("end", status=self.behaviour.status)
            raise Refused(self.behaviour.status)

    async def frame(self, wire: Wire) -> None:
        """Send what surrounds the content.

        Raises:
            Cut: the connection was closed instead.
        """
        if self.behaviour.fault not in (Fault.ZERO_BYTES, Fault.SILENT):
            await self._write(wire)

    async def content(self, wires: Iterable[Wire]) -> None:
        """Send text or audio, piece by piece.

        Raises:
            Cut: the connection was closed before the last piece.
        """
        fault = self.behaviour.fault
        if fault in (Fault.EMPTY, Fault.SILENT):
            return
        pieces = list(wires)
        for index, wire in enumerate(itertools.cycle(pieces) if fault is Fault.ENDLESS else pieces):
            if index or self._pieces:
                await self._pause(self.behaviour.gap_ms)
            await self._write(self._sink.broken if fault is Fault.GARBAGE else wire)
            self._pieces += 1
            await self._stop_here()
            if fault is Fault.ENDLESS:
                await asyncio.sleep(0)  # a client in the same loop must get to read, and to leave

    async def whole(self, wire: Wire) -> None:
        """Send an answer that is one piece, which even an empty answer has.

        Raises:
            Cut: the connection was closed before its end.
        """
        if self.behaviour.fault is Fault.EMPTY:
            await self._write(wire)
        elif self.behaviour.fault is not Fault.ZERO_BYTES:
            await self.content([wire])

    async def transcript(self, *wires: Wire) -> None:
        """Send what a recogniser has heard; late, twice or never if so asked.

        Raises:
            Cut: the connection was closed before the last piece.
        """
        if self.behaviour.fault is Fault.LATE_FINALS:
            await self._pause(self.behaviour.late_ms)
        twice = self.behaviour.fault is Fault.DUPLICATE_FINALS
        await self.content([*wires, *wires] if twice else wires)

    def end(self) -> None:
        """Say that the answer is complete."""
        self.note("end", pieces=self._pieces, bytes=self._bytes, **self.told)

    async def _write(self, wire: Wire) -> None:
        data = wire.encode() if isinstance(wire, str) else wire
        most = self.behaviour.after_bytes
        ends = self.behaviour.fault in (Fault.TRUNCATE, Fault.DISCONNECT)
        if ends and most is not None and self._bytes + len(data) >= most:
            if isinstance(self._sink, HttpSink):
                await self._sink.write(data[: most - self._bytes])
            await self._cut()
        if self._bytes == 0 and data:
            self.note("first_byte")
        self._bytes += len(data)
        await self._sink.write(wire)

    async def _stop_here(self) -> None:
        """Stop answering for good, if this is where the behaviour stops."""
        last = self.behaviour.pieces_before_fault()
        if last is None or self._pieces < last:
            return
        if self.behaviour.fault in (Fault.HANG, Fault.STALL):
            await asyncio.Event().wait()  # until the client leaves or the server stops
        await self._cut()

    async def _cut(self) -> None:
        self.note("end", cut=True, pieces=self._pieces, bytes=self._bytes)
        if self.behaviour.fault is Fault.DISCONNECT:
            self._sink.abort()
        else:
            await self._sink.close()
        raise Cut

    async def _pause(self, pause_ms: int) -> None:
        if pause_ms:
            await asyncio.sleep(pause_ms / 1_000)


def drop(request: web.Request) -> None:
    """Drop the connection of a request, without a word."""
    if request.transport is not None:
        request.transport.abort()


def event(payload: Any, name: str | None = None) -> str:
    """Return a server-sent event with this JSON."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {encoded(payload)}\n\n"


def encoded(payload: Any) -> str:
    """Return the JSON text of `payload`."""
    return msgspec.json.encode(payload).decode()
