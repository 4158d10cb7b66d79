"""Repeats the ACK of an answer that comes again (RFC 3261 section 13.2.2.4).

libre keeps the ACK for that, but sends an empty datagram in its place: a far end that lost the
first would hang up after 32 s.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable

from sip.gateway.sdp import Place
from sip.message import Request, Response

_MOST = 500
_DESTINATION = re.compile(r"-> ([0-9.]+):([0-9]{1,5})$")
Answer = tuple[str, int, str]  # Call-ID, CSeq, tag of the far end


class Acks:
    """The last ACKs of this process.

    Args:
        send: sends a datagram from the port that SIP is spoken at.
    """

    def __init__(self, send: Callable[[bytes, Place], None]) -> None:
        self._send = send
        self._sent: OrderedDict[Answer, tuple[bytes, Place]] = OrderedDict()

    def passed(self, direction: str, message: Request | Response, text: str) -> None:
        """A message has passed, in this direction of baresip's trace: TX or RX, and both ends."""
        number, method = message.cseq
        answer = (message.call_id, number, message.address("to").params.get("tag", ""))
        if isinstance(message, Response):
            known = self._sent.get(answer)
            if known is not None and message.status // 100 == 2 and method == "INVITE":
                self._send(*known)
            return
        to = _DESTINATION.search(direction)
        if method == "ACK" and direction.startswith("TX UDP") and to is not None:
            whole = text.rstrip() + "\r\n\r\n"  # the trace cuts off what ends it; there is no body
            self._sent[answer] = (whole.encode(), Place(to[1], int(to[2])))
            while len(self._sent) > _MOST:
                self._sent.popitem(last=False)
