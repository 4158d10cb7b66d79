"""One call as its callee sees it: answers repeated until acknowledged, CANCEL and BYE obeyed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from sip.carrier.scenarios import Scenario
from sip.limits import number
from sip.message import Request, Response

T1, T2 = 0.5, 4.0
GIVE_UP_S = 64 * T1
"""RFC 3261 17.1.1.1 and 13.3.1.4: how often an answer is repeated, and for how long."""

Address = tuple[str, int]
Send = Callable[[Request | Response, Address], None]


class Dialog:
    """The server side of one INVITE and of the dialog that it may open.

    Attributes:
        invite: the INVITE.
        hung_up: set when the far end has sent BYE.
        deaf: nothing that arrives is answered any more.
    """

    def __init__(self, invite: Request, scenario: Scenario, send: Send, local: Address) -> None:
        self.invite = invite
        self.scenario = scenario
        self.hung_up = asyncio.Event()
        self.deaf = False
        self._send = send
        self._local = local
        self._tag = secrets.token_hex(4)
        self._last: Response | None = None
        self._cancelled = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._bye_answered = asyncio.Event()

    def requested(self, request: Request) -> None:
        """Take a further request of this call."""
        if self.deaf:
            return
        if request.method == "ACK":
            self._acknowledged.set()
        elif request.method == "INVITE":
            self._again(request)
        elif request.method == "CANCEL":
            self._answer(request, 200, "OK")
            if self._last is None or self._last.status < 200:
                self._cancelled.set()
        elif request.method == "BYE":
            self._answer(request, 200, "OK")
            self.hung_up.set()
        else:
            self._answer(request, 200, "OK")

    def responded(self, answer: Response) -> None:
        """Take an answer to our BYE."""
        if answer.cseq[1] == "BYE" and answer.status >= 200:
            self._bye_answered.set()

    def provisional(self, status: int, reason: str, *, sdp: bytes = b"") -> None:
        """Send 1xx."""
        self._reply(status, reason, sdp=sdp)

    async def cancelled_within(self, seconds: float | None) -> bool:
        """Wait; when the caller gives up meanwhile, answer 487 and return true."""
        if not await _within(self._cancelled, seconds):
            return False
        await self.refuse(487, "Request Terminated")
        return True

    async def refuse(self, status: int, reason: str, *, retry_after_s: int | None = None) -> None:
        """Give a final failure, again and again until it is acknowledged."""
        extra = [] if retry_after_s is None else [("Retry-After", str(retry_after_s))]
        self._reply(status, reason, extra=extra)
        await self._repeat(self._acknowledged)

    async def answer(self, sdp: bytes) -> bool:
        """Answer 200 and return whether the caller acknowledged it."""
        self._reply(200, "OK", sdp=sdp)
        return await self._repeat(self._acknowledged)

    async def hung_up_within(self, seconds: float) -> bool:
        """Return whether the far end hung up within `seconds`."""
        return await _within(self.hung_up, seconds)

    async def hang_up(self) -> None:
        """Send BYE, again until it is answered."""
        contact = self.invite.address("contact")
        host, _, port = contact.uri.partition(":")[2].rpartition("@")[2].partition(":")
        named = number(port.partition(";")[0] or "5060", most=65_535)
        target = (host.partition(";")[0], named or 5060)
        to = self.invite.header("to") or ""
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        bye = Request(
            [
                ("Via", f"SIP/2.0/UDP {self._local[0]}:{self._local[1]};branch={branch};rport"),
                ("Max-Forwards", "70"),
                ("From", f"{to};tag={self._tag}"),
                ("To", self.invite.header("from") or ""),
                ("Call-ID", self.invite.call_id),
                ("CSeq", "1 BYE"),
            ],
            b"",
            "BYE",
            contact.uri,
        )
        self._send(bye, target)
        await _until(self._bye_answered, lambda: self._send(bye, target))

    def _again(self, request: Request) -> None:
        """A repeated INVITE gets the same answer; one inside the dialog, what was agreed."""
        if request.in_dialog:
            self._answer(request, 488, "Not Acceptable Here")
        elif self._last is not None:
            self._send(self._last, request.source)

    def _reply(
        self,
        status: int,
        reason: str,
        *,
        sdp: bytes = b"",
        extra: list[tuple[str, str]] | None = None,
    ) -> None:
        answer = response(self.invite, status, reason, tag=None if status == 100 else self._tag)
        host, port = self._local
        answer.headers += [
            ("Contact", f"<sip:{self.scenario.number}@{host}:{port}>"),
            *(extra or []),
        ]
        if sdp:
            answer.headers.append(("Content-Type", "application/sdp"))
            answer.body = sdp
        self._last = answer
        self._send(answer, self.invite.source)

    def _answer(self, request: Request, status: int, reason: str) -> None:
        self._send(response(request, status, reason, tag=self._tag), request.source)

    async def _repeat(self, until: asyncio.Event) -> bool:
        answer = self._last
        assert answer is not None
        return await _until(until, lambda: self._send(answer, self.invite.source))


def response(request: Request, status: int, reason: str, *, tag: str | None = None) -> Response:
    """Return an answer to `request`, with its Via stack (RFC 3261 8.2.6)."""
    headers = [
        (name, value)
        for name in ("Via", "From", "Call-ID", "CSeq")
        for value in ([request.header(name) or ""] if name != "Via" else request.values("via"))
    ]
    to = request.header("to") or ""
    if tag is not None and not request.in_dialog:
        to += f";tag={tag}"
    return Response([*headers, ("To", to)], b"", status, reason)


async def _until(done: asyncio.Event, again: Callable[[], None]) -> bool:
    """Call `again` at T1, 2·T1 … T2 until `done`; false after 64·T1."""
    waited, pause = 0.0, T1
    while waited < GIVE_UP_S:
        if await _within(done, pause):
            return True
        again()
        waited += pause
        pause = min(2 * pause, T2)
    return False


async def _within(event: asyncio.Event, seconds: float | None) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
