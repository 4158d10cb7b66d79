"""A stateless SIP front on UDP: decides about requests, forwards the good ones (RFC 3261 16.11).

It stands before user agents that cannot refuse in detail. It keeps no transaction: only the
verdict per request, so that a retransmission, a CANCEL or an ACK meets the same one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import cast

from process.logs import get_logger
from sip.limits import MAX_DATAGRAM
from sip.message import MalformedMessage, Request, Response, Via, canonical, parse
from sip.ports import PortBusy
from sip.verdict import (
    Address,
    Forward,
    Key,
    Memory,
    Pending,
    Reply,
    Seen,
    Silent,
    Verdict,
    challenge,
)  # fmt: skip
from sip.via import mark_source, reply_address

__all__ = [
    "NONCE_HEADER", "Decide", "Forward", "Front", "PortBusy", "Reply", "Silent", "Verdict",
    "challenge",
]  # fmt: skip

log = get_logger("sip.front")

NONCE_HEADER = "X-Offhook-Front"
ALLOW = "INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, OPTIONS"
_COOKIE = "z9hG4bK"

_BUSY = Reply(503, "Service Unavailable", (("Retry-After", "5"),))

Decide = Callable[[Request], Verdict | Awaitable[Verdict]]


class Front(asyncio.DatagramProtocol):
    """Listens on one UDP address and asks `decide` about every request outside a dialog.

    `decide` may be a coroutine function; after `decide_limit` seconds the request is answered
    503, and 500 when it raises. Requests inside dialogs normally bypass the front (it writes no
    Record-Route); those that reach it go to `dialogs` when given, else they are answered 481.
    """

    def __init__(
        self,
        listen: Address,
        decide: Decide,
        *,
        dialogs: Address | None = None,
        decide_limit: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._listen = listen
        self._decide = decide
        self._dialogs = dialogs
        self._decide_limit = decide_limit
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._seen = Memory()
        self._transport: asyncio.DatagramTransport | None = None
        self._closed: asyncio.Future[None] | None = None
        self.nonce = secrets.token_hex(16)

    @property
    def address(self) -> Address:
        """Where it listens: the real port, when 0 was asked for."""
        if self._transport is None:
            return self._listen
        host, port = self._transport.get_extra_info("sockname")[:2]
        return (str(host), int(port))

    @property
    def alive(self) -> bool:
        """True between start and stop, as long as the socket is open."""
        return self._transport is not None and not self._transport.is_closing()

    def admits(self, headers: dict[str, str]) -> bool:
        """Whether a call with these (exposed) headers came through this very front."""
        found = next((v for k, v in headers.items() if k.lower() == NONCE_HEADER.lower()), "")
        return hmac.compare_digest(found.encode(errors="replace"), self.nonce.encode())

    async def start(self) -> None:
        """Bind the socket; raises PortBusy."""
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=self._listen)
        except OSError as error:
            raise PortBusy(*self._listen, error) from error

    async def stop(self) -> None:
        """Close the socket and end decisions under way."""
        waiting = [seen.pending for seen in self._seen.clear() if seen.pending is not None]
        tasks = [pending.task for pending in waiting if pending.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None and self._closed is not None:
            self._transport.close()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's notice that the socket is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's notice that the socket is closed."""
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """asyncio's notice of an ICMP error: the far end's trouble, its client retransmits."""
        log.debug("an earlier datagram was refused", error=exc)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """One datagram from the network; what is malformed or above 8 kB is dropped."""
        if len(data) > MAX_DATAGRAM or not data.strip(b"\r\n\0 "):
            return  # the second is a keep-alive
        try:
            message = parse(data, addr[:2])
            if isinstance(message, Request):
                self._request(message, len(data))
            else:
                self._response(message)
        except MalformedMessage as error:
            log.debug("malformed datagram dropped", source=addr[0], error=error)

    # -- requests ------------------------------------------------------------

    def _request(self, request: Request, size: int) -> None:
        self._seen.expire(self._clock())
        vias = request.vias
        vias[0] = mark_source(vias[0], request.source)
        request.replace("Via", [via.render() for via in vias])
        reply_address(vias[0])  # raises MalformedMessage now rather than at the answer
        if request.method == "ACK":
            self._ack(request, self._seen.get(_key(request, "INVITE")))
        elif request.method == "CANCEL":
            self._cancel(request, self._seen.get(_key(request, "INVITE")))
        elif (seen := self._seen.get(_key(request, request.method))) is not None:
            if seen.verdict is not None:  # else the answer is on its way
                self._act(request, seen.verdict)
        elif (early := self._early(request)) is not None:
            self._act(request, early)
        else:
            self._begin(Pending(_key(request, request.method), request, size))

    def _begin(self, pending: Pending) -> None:
        seen = self._seen.add(pending.key, pending, self._clock())
        if seen is None:
            self._act(pending.request, _BUSY)
            return
        pending.task = asyncio.ensure_future(self._request_verdict(seen, pending.request))
        pending.task.add_done_callback(lambda task: self._decided(task, seen))

    def _early(self, request: Request) -> Verdict | None:
        """Answers that need no decision."""
        if request.method == "OPTIONS" and not request.in_dialog:
            return Reply(200, "OK", (("Allow", ALLOW), ("Accept", "application/sdp")))
        if request.hops == 0:
            return Reply(483, "Too Many Hops")
        if request.in_dialog:
            if self._dialogs is not None:
                return Forward(self._dialogs)
            return Reply(481, "Call/Transaction Does Not Exist")
        return None

    async def _request_verdict(self, seen: Seen, request: Request) -> None:
        try:
            async with asyncio.timeout(self._decide_limit):
                asked = self._decide(request)
                verdict = await asked if inspect.isawaitable(asked) else asked
        except TimeoutError:
            verdict = _BUSY
        self._settle(seen, verdict)

    def _decided(self, task: asyncio.Task[None], seen: Seen) -> None:
        if task.cancelled() or task.exception() is None:
            return
        log.error("deciding about a request failed", error=task.exception())
        if self.alive:
            self._settle(seen, Reply(500, "Server Internal Error"))

    def _settle(self, seen: Seen, verdict: Verdict) -> None:
        """Act on the first verdict about a request: a CANCEL may come before the decision."""
        pending = self._seen.settle(seen, verdict)
        if pending is None:
            return
        if isinstance(verdict, Forward) and pending.request.method == "INVITE":
            self._seen.lengthen(pending.key)
        self._act(pending.request, verdict)

    def _ack(self, request: Request, seen: Seen | None) -> None:
        if seen is not None and isinstance(seen.verdict, Forward):
            self._forward(request, seen.verdict)
        elif seen is None and self._dialogs is not None and request.in_dialog:
            self._forward(request, Forward(self._dialogs))
        # An ACK to an answer of ours ends here.

    def _cancel(self, request: Request, seen: Seen | None) -> None:
        if seen is None:
            self._act(request, Reply(481, "Call/Transaction Does Not Exist"))
        elif isinstance(seen.verdict, Forward):
            self._forward(request, seen.verdict)
        elif not isinstance(seen.verdict, Silent):
            self._act(request, Reply(200, "OK"))
            self._settle(seen, Reply(487, "Request Terminated"))

    def _act(self, request: Request, verdict: Verdict) -> None:
        if isinstance(verdict, Forward):
            self._forward(request, verdict)
        elif isinstance(verdict, Reply):
            self._send(self._answer(request, verdict), reply_address(request.vias[0]))

    def _forward(self, request: Request, verdict: Forward) -> None:
        host, port = self.address
        vias = request.vias
        via = Via("UDP", host, port, {"branch": self._branch(request, vias[0])})
        kept = [(n, v) for n, v in request.headers if n.lower() != NONCE_HEADER.lower()]
        uri = verdict.uri or request.uri
        out = Request(kept, verdict.body or request.body, request.method, uri, request.source)
        out.replace("Via", [via.render(), *(v.render() for v in vias)])
        out.replace("Max-Forwards", [str(max(request.hops - 1, 0))])
        out.headers += [(NONCE_HEADER, self.nonce), *verdict.add_headers]
        self._send(out.encode(), verdict.to)

    def _answer(self, request: Request, reply: Reply) -> bytes:
        names = ("via", "from", "call-id", "cseq")
        headers = [(n, v) for n, v in request.headers if canonical(n) in names]
        to = request.header("to") or ""
        if not request.in_dialog:
            to += f";tag={self._digest('tag', *_transaction(request))}"
        out = Response([*headers, ("To", to), *reply.headers], b"", reply.status, reply.reason)
        return out.encode()

    # -- responses -----------------------------------------------------------

    def _response(self, response: Response) -> None:
        """Pop our Via and send the rest where the request came from.

        Our branch is a keyed hash of the Via below it, so nobody can use us to reach a third party.
        """
        vias = response.vias
        if len(vias) < 2 or not hmac.compare_digest(
            _bytes(vias[0].branch), _bytes(self._branch(response, vias[1]))
        ):
            raise MalformedMessage("a response to nothing of ours")
        response.replace("Via", [via.render() for via in vias[1:]])
        self._send(response.encode(), reply_address(vias[1]))

    def _branch(self, message: Request | Response, below: Via) -> str:
        """The same for a request, its repeats, its CANCEL, its failure's ACK and its responses.

        It covers where the answer goes, so a forged Via does not match.
        """
        host, port = reply_address(below)
        number = str(message.cseq[0])
        return _COOKIE + self._digest(host, str(port), below.branch, message.call_id, number)

    def _digest(self, *parts: str) -> str:
        text = _bytes("\0".join(parts))
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:24]

    def _send(self, datagram: bytes, to: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, to)


def _transaction(request: Request) -> tuple[str, ...]:
    """What a request and its retransmissions share, and what nobody else can name: source too."""
    via = request.vias[0]
    place = f"{via.host}:{via.port}"
    return (request.source[0], place, via.branch, request.call_id, str(request.cseq[0]))


def _key(request: Request, method: str) -> Key:
    """The transaction as a hash, so that a long Call-ID or branch is not kept."""
    text = _bytes("\0".join((*_transaction(request), method)))
    return hashlib.blake2b(text, digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
