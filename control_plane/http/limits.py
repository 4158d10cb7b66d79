"""What a connection may hold of this process before anybody knows who is there.

uvicorn bounds neither the size of headers nor the time that a request takes to arrive, and counts
connections only once their headers are there. This is its protocol with those limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from process.logs import get_logger

log = get_logger(__name__)
_SLICE = 4_096


class Limits(Struct, frozen=True):
    """Sizes in bytes, times in seconds.

    Args:
        connections: of one listener; uvicorn's own limit counts them once they have asked.
        header_bytes: request line and headers together, trailers too.
        headers: how many of them.
        header_s: from the connection, or a request's first byte, to its last header.
        body_s: how long a body may take, and one second more for each `body_rate` bytes of it.
    """

    connections: int = 400  # two listeners stay below the 1,024 files a process usually may open
    header_bytes: int = 32 * 1024
    headers: int = 100
    header_s: float = 10.0
    body_s: float = 30.0
    body_rate: int = 16 * 1024


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits: 431 for headers, 408 for lateness, 503 for a connection too many."""

    limits = Limits()

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._headers_over = False
        self._header_bytes = 0
        self._header_count = 0
        self._unread = 0
        self._body_from = 0.0
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection: refused when there are too many, else its first request is due."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.connections.discard(self)  # it takes nobody's place while it closes
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: try again later")
        else:
            self._headers_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, in small pieces while it reads headers."""
        if self._timer is None and not self._busy():
            self._headers_due()  # line ends before a request begin none, and stop uvicorn's timer
        at = 0
        while at < len(data) and not self.transport.is_closing():
            end = len(data) if self._headers_over else at + _SLICE
            self._unread += len(data[at:end])
            super().data_received(data[at:end])
            at = end
            if self._unread > self.limits.header_bytes + _SLICE:
                self._refuse_headers()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._headers_over = False
        self._header_bytes = self._header_count = 0
        self._body_bytes = 0
        self._headers_due()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._header_count += 1
        self._count(len(name) + len(value) + 4)
        if not self.transport.is_closing():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are there; what follows is the body."""
        self._headers_over, self._unread = True, 0
        if self.transport.is_closing():
            return
        self._body_from = self.loop.time()
        self._arm(self.limits.body_s, self._body_late)
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk begins: the body goes on."""
        self._unread = 0

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unread = 0
        self._body_bytes += len(body)
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there whole."""
        self._stop_timer()
        self._headers_over, self._unread = False, 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _count(self, size: int) -> None:
        self._header_bytes += size
        limits = self.limits
        if self._header_bytes > limits.header_bytes or self._header_count > limits.headers:
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        limits = self.limits
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"at most {limits.headers} headers of {limits.header_bytes} bytes together",
        )

    def _headers_due(self) -> None:
        late = "the request's headers did not come in time"
        self._arm(self.limits.header_s, lambda: self._refuse(HTTPStatus.REQUEST_TIMEOUT, late))

    def _body_late(self) -> None:
        """Time is up, unless bytes came meanwhile, or we ourselves did not take more of them."""
        limits = self.limits
        due = self._body_from + limits.body_s + self._body_bytes / limits.body_rate
        left = due - self.loop.time()
        if self.flow.read_paused:
            self._body_from += limits.body_s
            self._arm(limits.body_s, self._body_late)
        elif left > 0:
            self._arm(left, self._body_late)
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request's body did not come in time")

    def _arm(self, seconds: float, late: Callable[[], None]) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(seconds, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer unless an answer has begun, and close; whoever reads the body learns of it."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        unanswered = cycle is not None and not cycle.response_started
        if unanswered if self._headers_over else not self._busy():
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, status.phrase.encode(), len(text), text.encode())
            )
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        log.info("a connection was refused", status=int(status), reason=text)
