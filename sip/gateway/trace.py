"""What passed on the wire: the last responses and requests of each call, by Call-ID.

baresip reports no response headers and no tags; its SIP trace shows whole messages. The trace runs
on its own thread, so a reader awaits the message it needs for a bounded time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from sip.message import MalformedMessage, Request, Response, parse

_LOGGER = "baresip.native.sip"
_MAX_CALLS = 500
_PATIENCE_S = 0.25

Seen = Request | Response
Wanted = Callable[[Seen], bool]


class SipTrace(logging.Handler):
    """Collects received SIP messages per Call-ID, the newest few of each call."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        super().__init__(logging.DEBUG)
        self._loop = loop
        self._calls: OrderedDict[str, list[Seen]] = OrderedDict()
        self._waiters: list[tuple[str, Wanted, asyncio.Future[Seen]]] = []

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
        if direction.startswith("RX") and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keep, text)

    async def find(self, call_id: str, wanted: Wanted) -> Seen | None:
        """The newest received message of this call that `wanted` accepts; None if none comes."""
        found = next((m for m in reversed(self._calls.get(call_id, [])) if wanted(m)), None)
        if found is not None:
            return found
        future: asyncio.Future[Seen] = self._loop.create_future()
        waiter = (call_id, wanted, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiters.remove(waiter)

    def forget(self, call_id: str) -> None:
        """Drop what was kept of a call."""
        self._calls.pop(call_id, None)

    def _keep(self, text: str) -> None:
        try:
            head = text.split("\r\n\r\n", 1)[0].encode("utf-8", "surrogateescape")
            message = parse(_without_length(head) + b"\r\n\r\n", ("", 0))
            call_id = message.call_id
        except MalformedMessage:
            return
        kept = self._calls.setdefault(call_id, [])
        kept.append(message)
        del kept[:-8]
        while len(self._calls) > _MAX_CALLS:
            self._calls.popitem(last=False)
        for wanted_id, wanted, future in self._waiters:
            if wanted_id == call_id and not future.done() and wanted(message):
                future.set_result(message)


def _without_length(head: bytes) -> bytes:
    """The trace's body may be cut, so its length says nothing."""
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
