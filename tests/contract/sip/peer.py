"""The far end of the contract suite: a phone that says exactly what a test tells it to.

It speaks raw SIP and RTP over UDP, so every message and packet is seen. By itself it only answers
BYE, and CANCEL with 487; everything else a test does.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sip.message import Request, Response, parse

LIMIT = 5.0
SOFT = bytes([0x50, 0x50, 0x50, 0x50, 0xD0, 0xD0, 0xD0, 0xD0] * 20)  # 1 kHz, a ninth as loud
TONE = bytes([0x20, 0x20, 0x20, 0x20, 0xA0, 0xA0, 0xA0, 0xA0] * 20)  # 1 kHz, loud, PCMU
MAPS = {
    "0": "PCMU/8000",
    "8": "PCMA/8000",
    "9": "G722/8000",
    "96": "opus/48000/2",
    "111": "opus/48000/2",
    "101": "telephone-event/8000",
    "110": "telephone-event/48000",
}
QUIET = frozenset({0xFF, 0x7F, 0xFE, 0x7E, 0xFD, 0x7D})


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet, with when it came (monotonic seconds)."""

    at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    source: int  # SSRC
    payload: bytes

    @property
    def loud(self) -> bool:
        """Whether it carries sound rather than near-silence."""
        return self.payload_type in (0, 8) and sum(b not in QUIET for b in self.payload) > 40


class _Rtp(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._changed = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < 12 or 192 <= data[1] <= 223:
            return  # RTCP
        self.packets.append(
            Packet(
                time.monotonic(),
                data[1] & 0x7F,
                bool(data[1] & 0x80),
                int.from_bytes(data[2:4], "big"),
                int.from_bytes(data[4:8], "big"),
                int.from_bytes(data[8:12], "big"),
                data[12:],
            )
        )
        self._changed.set()

    async def until(self, test: object, limit: float = LIMIT) -> None:
        """Wait until `test(packets)` holds."""
        assert callable(test)
        async with asyncio.timeout(limit):
            while not test(self.packets):
                self._changed.clear()
                await self._changed.wait()


class Phone(asyncio.DatagramProtocol):
    """One SIP address with one RTP port."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.inbox: asyncio.Queue[tuple[float, Request | Response]] = asyncio.Queue()
        self.seen: list[tuple[float, Request | Response]] = []
        self.host, self.port, self.rtp_port = host, 0, 0
        self.answers_bye = True
        self.answers_cancel = True

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._sip, _ = await loop.create_datagram_endpoint(lambda: self, (self.host, 0))
        self.port = self._sip.get_extra_info("sockname")[1]
        self._rtp_socket, self.rtp = await loop.create_datagram_endpoint(_Rtp, (self.host, 0))
        self.rtp_port = self._rtp_socket.get_extra_info("sockname")[1]
        self._talking: asyncio.Task[None] | None = None
        self.source = b"\x00\x00\x12\x34"  # SSRC
        self._sequence, self._began = secrets.randbelow(1000), time.monotonic()

    async def stop(self) -> None:
        await self.hush()
        self._sip.close()
        self._rtp_socket.close()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip():
            return  # a keep-alive
        message = parse(data, addr)
        now = time.monotonic()
        self.seen.append((now, message))
        if isinstance(message, Request):
            if message.method == "BYE" and self.answers_bye:
                self.reply(message, 200, "OK")
            elif message.method == "CANCEL" and self.answers_cancel:
                self.reply(message, 200, "OK")
                invite = next(
                    m
                    for _, m in self.seen
                    if isinstance(m, Request)
                    and m.method == "INVITE"
                    and m.call_id == message.call_id
                )
                self.reply(invite, 487, "Request Terminated")
        self.inbox.put_nowait((now, message))

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self._sip.sendto(data, to)

    async def next(self, what: str, limit: float = LIMIT) -> Request | Response:
        """The next request of this method, or response such as "200 INVITE"; others are skipped."""
        async with asyncio.timeout(limit):
            while True:
                _, message = await self.inbox.get()
                if _label(message) == what:
                    return message

    async def request(self, method: str, limit: float = LIMIT) -> Request:
        found = await self.next(method, limit)
        assert isinstance(found, Request)
        return found

    def count(self, what: str) -> int:
        return sum(_label(message) == what for _, message in self.seen)

    def at(self, what: str) -> float:
        """When the first such message came."""
        return next(at for at, message in self.seen if _label(message) == what)

    def reply(
        self,
        request: Request,
        status: int,
        reason: str,
        *,
        extra: tuple[tuple[str, str], ...] = (),
        body: str = "",
    ) -> None:
        names = ("via", "from", "call-id", "cseq")
        headers = [(n, v) for n, v in request.headers if n.lower() in names]
        to = request.header("to") or ""
        if "tag=" not in to and status > 100:
            to += ";tag=phonetag"
        headers += [("To", to), ("Contact", f"<sip:phone@{self.address}>"), *extra]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        self.send(Response(headers, body.encode(), status, reason).encode(), request.source)

    def sdp(self, codecs: str = "0 8 101", direction: str = "sendrecv", port: int = 0) -> str:
        lines = [f"a=rtpmap:{c} {MAPS[c]}" for c in codecs.split() if c in MAPS]
        return "\r\n".join(
            [
                "v=0",
                f"o=- 1 1 IN IP4 {self.host}",
                "s=-",
                f"c=IN IP4 {self.host}",
                "t=0 0",
                f"m=audio {port or self.rtp_port} RTP/AVP {codecs}",
                *lines,
                "a=ptime:20",
                f"a={direction}",
                "",
            ]
        )

    def answer(
        self, invite: Request, extra: tuple[tuple[str, str], ...] = (), codecs: str = "0 101"
    ) -> Talk:
        """Send 200 with SDP; the dialog seen from the phone."""
        self.reply(invite, 200, "OK", extra=extra, body=self.sdp(codecs))
        rtp = _rtp_port(invite.body)
        contact = invite.address("contact").uri
        return Talk(
            self,
            local=(invite.header("to") or "") + ";tag=phonetag",
            remote=invite.header("from") or "",
            call_id=invite.call_id,
            target=contact,
            rtp_to=(self.host, rtp),
        )

    def speak(self, to: tuple[str, int], packets: int | None = None, payload: bytes = TONE) -> None:
        """Send a loud tone, 20 ms packets, until hushed or so many packets."""
        self._talking = asyncio.create_task(self._speak(to, packets, [payload]))

    def speak_in(
        self, to: tuple[str, int], payloads: list[bytes], kind: int, step: int = 160
    ) -> None:
        """Send these payloads again and again, 20 ms packets, until hushed.

        Args:
            kind: their payload type.
            step: of the time stamps.
        """
        self._talking = asyncio.create_task(self._speak(to, None, payloads, kind, step))

    async def hush(self) -> None:
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)

    async def _speak(
        self,
        to: tuple[str, int],
        packets: int | None,
        payloads: list[bytes],
        kind: int = 0,
        step: int = 160,
    ) -> None:
        due = time.monotonic()
        sent = 0
        while packets is None or sent < packets:
            payload = payloads[sent % len(payloads)]
            ticks = round((due - self._began) / 0.02)  # the clock goes on while nothing is sent
            self.send_rtp(to, self._sequence & 0xFFFF, ticks * step, payload, kind=kind)
            sent += 1
            self._sequence += 1
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def send_rtp(
        self,
        to: tuple[str, int],
        sequence: int,
        timestamp: int,
        payload: bytes,
        *,
        kind: int = 0,
        marker: bool = False,
    ) -> None:
        kind |= 0x80 if marker else 0
        self._rtp_socket.sendto(_rtp(kind, sequence, timestamp, self.source, payload), to)

    def press(self, to: tuple[str, int], code: int, sequence: int = 30000) -> None:
        """Press and release a key: RFC 4733 packets, three ends."""
        for packet in _keypress(code, sequence, self.source):
            self._rtp_socket.sendto(packet, to)

    # -- calling in -------------------------------------------------------------------

    def invite(
        self,
        to: tuple[str, int],
        number: str,
        caller: str = "+15550001",
        *,
        extra: tuple[tuple[str, str], ...] = (),
        call_id: str = "",
        cseq: int = 1,
        codecs: str = "0 8 101",
    ) -> Request:
        """Send an INVITE; returns it, for CANCEL and ACK."""
        headers = [
            ("Via", f"SIP/2.0/UDP {self.address};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", f'"Caller" <sip:{caller}@{self.host}>;tag={secrets.token_hex(4)}'),
            ("To", f"<sip:{number}@{to[0]}>"),
            ("Call-ID", call_id or secrets.token_hex(10)),
            ("CSeq", f"{cseq} INVITE"),
            ("Contact", f"<sip:phone@{self.address}>"),
            ("Content-Type", "application/sdp"),
            *extra,
        ]
        request = Request(headers, self.sdp(codecs).encode(), "INVITE", f"sip:{number}@{to[0]}", to)
        self.send(request.encode(), to)
        return request

    def follow(self, invite: Request, method: str, to_header: str = "") -> None:
        """CANCEL an INVITE, or ACK its failure, on the INVITE's own branch."""
        keep = ("via", "max-forwards", "from", "call-id")
        headers = [(n, v) for n, v in invite.headers if n.lower() in keep]
        headers.append(("To", to_header or invite.header("to") or ""))
        headers.append(("CSeq", f"{invite.cseq[0]} {method}"))
        request = Request(headers, b"", method, invite.uri)
        self.send(request.encode(), invite.source)

    def establish(self, invite: Request, answer: Response) -> Talk:
        """ACK a 200; the dialog seen from the phone."""
        talk = Talk(
            self,
            local=invite.header("from") or "",
            remote=answer.header("to") or "",
            call_id=invite.call_id,
            target=answer.address("contact").uri,
            rtp_to=(self.host, _rtp_port(answer.body)),
        )
        talk.send("ACK", cseq=invite.cseq[0])
        return talk


class Sender:
    """A UDP port that sends RTP of its own, in 20 ms packets, to wherever it is told."""

    def __init__(self, payload: bytes, host: str = "127.0.0.1") -> None:
        self._payload, self._host = payload, host
        self._source = secrets.token_bytes(4)
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        place = (self._host, 0)
        self._socket, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, place)
        self.port: int = self._socket.get_extra_info("sockname")[1]

    async def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._socket.close()

    def press(self, to: tuple[str, int], code: int, sequence: int = 30000) -> None:
        """Press and release a key."""
        for packet in _keypress(code, sequence, self._source):
            self._socket.sendto(packet, to)

    def send(self, to: tuple[str, int]) -> None:
        """Send until stopped."""
        self._sending = asyncio.create_task(self._send(to))

    async def _send(self, to: tuple[str, int]) -> None:
        due = time.monotonic()
        for sequence in range(2**16):
            packet = _rtp(0, sequence, sequence * 160, self._source, self._payload)
            self._socket.sendto(packet, to)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))


@dataclass(slots=True)
class Talk:
    """An established dialog, seen from the phone."""

    phone: Phone
    local: str
    remote: str
    call_id: str
    target: str
    rtp_to: tuple[str, int]
    cseq: int = field(default=100)

    def send(
        self,
        method: str,
        *,
        cseq: int | None = None,
        extra: tuple[tuple[str, str], ...] = (),
        body: str = "",
    ) -> None:
        """Send a request inside the dialog."""
        self.cseq += 1
        place = self.target.removeprefix("sip:").rpartition("@")[2]  # a user may be absent
        host, _, port = place.partition(";")[0].partition(":")
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        headers = [
            ("Via", f"SIP/2.0/UDP {self.phone.address};branch={branch};rport"),
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq if cseq is not None else self.cseq} {method}"),
            ("Contact", f"<sip:phone@{self.phone.address}>"),
            *extra,
        ]
        request = Request(headers, body.encode(), method, self.target)
        self.phone.send(request.encode(), (host, int(port or 5060)))

    def notify(self, status: str, *, final: bool) -> None:
        """Report on a REFER."""
        state = "terminated;reason=noresource" if final else "active;expires=60"
        self.send(
            "NOTIFY",
            extra=(
                ("Event", "refer"),
                ("Subscription-State", state),
                ("Content-Type", "message/sipfrag;version=2.0"),
            ),
            body=f"SIP/2.0 {status}",
        )


def digest_answer(challenge: str, user: str, password: str, uri: str) -> str:
    """An Authorization value for a Digest challenge, with or without qop."""

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    realm = challenge.split('realm="')[1].split('"')[0]
    nonce = challenge.split('nonce="')[1].split('"')[0]
    first, second = h(f"{user}:{realm}:{password}"), h(f"INVITE:{uri}")
    head = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if "qop" not in challenge:
        return f'{head}, response="{h(f"{first}:{nonce}:{second}")}", algorithm=MD5'
    response = h(f"{first}:{nonce}:00000001:abc:auth:{second}")
    more = 'qop=auth, nc=00000001, cnonce="abc", algorithm=MD5'
    return f'{head}, response="{response}", {more}'


def _label(message: Request | Response) -> str:
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {message.cseq[1]}"


def audio_formats(body: bytes) -> list[str]:
    """The payload types of the audio line, in order."""
    return body.split(b"m=audio ")[1].split(b"\r\n")[0].decode().split()[2:]


def _rtp(kind: int, sequence: int, timestamp: int, source: bytes, payload: bytes) -> bytes:
    head = bytes([0x80, kind]) + sequence.to_bytes(2, "big")
    return head + (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + source + payload


def _keypress(code: int, sequence: int, source: bytes) -> Iterator[bytes]:
    for i in range(8):
        duration = min(i + 1, 6) * 160
        end = 0x80 if i >= 5 else 0
        payload = bytes([code, end | 10]) + duration.to_bytes(2, "big")
        kind = 101 | (0x80 if i == 0 else 0)
        yield _rtp(kind, sequence + i, sequence * 160, source, payload)


def _rtp_port(body: bytes) -> int:
    return int(body.split(b"m=audio ")[1].split(b" ")[0])
