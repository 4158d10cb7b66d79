"""What passed on the wire: the last responses and requests of each call, and the ends of its sound.

baresip reports no response headers and no tags; its SIP trace shows whole messages. The trace runs
on its own thread, so a reader awaits the message it needs for a bounded time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from sip.gateway.acks import Acks
from sip.gateway.sdp import STATIC, Ends, asks_for_no_sound, audio_place, formats
from sip.message import MalformedMessage, Request, Response, parse

_LOGGER = "baresip.native.sip"
_MAX_CALLS = 500
_MAX_MESSAGES = 8
_MAX_BYTES = 8 * 1024 * 1024
_LIMIT_S = 0.25

Seen = Request | Response
Kept = tuple[Seen, int]
Wanted = Callable[[Seen], bool]
Changed = Callable[[], None]


class SipTrace(logging.Handler):
    """Collects received SIP messages per Call-ID, the newest few of each call, and their SDP.

    A message above 8 kB is not in the trace at all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        super().__init__(logging.DEBUG)
        self._loop = loop
        self._calls: OrderedDict[str, list[Kept]] = OrderedDict()
        self._bytes = 0
        self._ends: OrderedDict[str, Ends] = OrderedDict()
        self._changed: dict[str, list[Changed]] = {}
        self._waiters: list[tuple[str, Wanted, asyncio.Future[Seen]]] = []
        self.acks: Acks | None = None

    def start(self) -> None:
        """Begin to collect."""
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False

    def stop(self) -> None:
        """End collecting."""
        logging.getLogger(_LOGGER).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """One traced message, on the trace's thread."""
        direction, _, text = record.getMessage().partition("\n")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._store, text, direction)

    async def find(self, call_id: str, wanted: Wanted) -> Seen | None:
        """The newest received message of this call that `wanted` accepts; None if none comes."""
        kept = self._calls.get(call_id, [])
        found = next((message for message, _ in reversed(kept) if wanted(message)), None)
        return found or await self.next(call_id, wanted, _LIMIT_S)

    async def next(self, call_id: str, wanted: Wanted, limit_s: float) -> Seen | None:
        """The next message of this call that `wanted` accepts; None if none comes in time."""
        future: asyncio.Future[Seen] = self._loop.create_future()
        waiter = (call_id, wanted, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiters.remove(waiter)

    def delete(self, call_id: str) -> None:
        """Drop what was kept of a call."""
        self._bytes -= sum(size for _, size in self._calls.pop(call_id, []))
        self._ends.pop(call_id, None)

    def ends(self, call_id: str) -> Ends | None:
        """Between which addresses a call's sound passes, as far as its messages have said."""
        return self._ends.get(call_id)

    def formats(self, call_id: str) -> dict[int, str]:
        """The payload types that may come in, as far as our messages have said; safe anywhere."""
        ends = self._ends.get(call_id)
        return STATIC if ends is None else ends.formats

    def on_ends(self, call_id: str, changed: Changed) -> Callable[[], None]:
        """Call `changed` whenever a message says where this call's sound passes, or whether.

        Returns what ends that.
        """
        self._changed.setdefault(call_id, []).append(changed)

        def end() -> None:
            self._changed[call_id].remove(changed)
            if not self._changed[call_id]:
                del self._changed[call_id]

        return end

    def _store(self, text: str, direction: str) -> None:
        received = direction.startswith("RX")
        start, _, body = text.partition("\r\n\r\n")
        try:
            head = start.encode("utf-8", "surrogateescape")
            message = parse(_without_length(head) + b"\r\n\r\n", ("", 0))
            call_id = message.call_id
            self._note_ends(message, call_id, body, received)
            if self.acks is not None:
                self.acks.passed(direction, message, text)
        except MalformedMessage:
            return
        if not received:
            return
        self._remember(call_id, message, len(start))
        for wanted_id, wanted, future in self._waiters:
            if wanted_id == call_id and not future.done() and wanted(message):
                future.set_result(message)

    def _remember(self, call_id: str, message: Seen, size: int) -> None:
        kept = self._calls.setdefault(call_id, [])
        kept.append((message, size))
        self._bytes += size - sum(old for _, old in kept[:-_MAX_MESSAGES])
        del kept[:-_MAX_MESSAGES]
        while len(self._calls) > _MAX_CALLS or self._bytes > _MAX_BYTES:
            _, dropped = self._calls.popitem(last=False)
            self._bytes -= sum(old for _, old in dropped)

    def _note_ends(self, message: Seen, call_id: str, body: str, received: bool) -> None:
        place, holds = audio_place(body), asks_for_no_sound(body)
        if place is None and not holds:
            return
        ends = self._ends.setdefault(call_id, Ends())
        if received:
            ends.received(message, place, holds)
        else:
            if place is not None:
                ends.sent(message, place)
            ends.formats = ends.formats | formats(body)
        while len(self._ends) > _MAX_CALLS:
            self._ends.popitem(last=False)
        for changed in tuple(self._changed.get(call_id, ())):
            changed()


def _without_length(head: bytes) -> bytes:
    """The head is read by itself, so the body's length would be wrong."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(
        line for line in lines if not line.lower().startswith((b"content-length", b"l:"))
    )


def is_answer(message: Seen) -> bool:
    """Whether this is the 200 to an INVITE."""
    return isinstance(message, Response) and message.status == 200 and message.cseq[1] == "INVITE"


def is_refer_refusal(message: Seen) -> bool:
    """Whether this refuses a REFER."""
    return isinstance(message, Response) and message.status >= 300 and message.cseq[1] == "REFER"


def is_refer_taken(message: Seen) -> bool:
    """Whether this accepts a REFER, or tells of what came of it (RFC 3515 section 2.4.4)."""
    if isinstance(message, Request):
        return message.method == "NOTIFY"
    return message.status // 100 == 2 and message.cseq[1] == "REFER"


def is_notify(message: Seen) -> bool:
    """Whether this tells of what came of a REFER."""
    return isinstance(message, Request) and message.method == "NOTIFY"
