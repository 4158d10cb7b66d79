"""A raw SIP caller on loopback UDP: what a trunk would do, without any SIP stack of ours."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import struct
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from sip.carrier.rtp import FRAME, encode

Address = tuple[str, int]
Pcm = npt.NDArray[np.int16]


def mulaw_to_pcm(data: bytes) -> Pcm:
    """Return 16-bit samples of mu-law bytes (G.711)."""
    coded = ~np.frombuffer(data, np.uint8).astype(np.int32) & 0xFF
    level = (((coded & 0x0F) << 3) + 132) << ((coded >> 4) & 7)
    return np.where(coded & 0x80, 132 - level, level - 132).astype(np.int16)


@dataclass
class SipAnswer:
    """One response."""

    status: int
    text: str

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}:\s*(.*?)\r?$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


@dataclass
class Sound(asyncio.DatagramProtocol):
    """The caller's RTP: keeps what arrives, sends speech or silence every 20 ms."""

    received: bytearray = field(default_factory=bytearray)
    events: list[tuple[int, int]] = field(default_factory=list)  # RFC 4733: event, RTP time
    outgoing: bytearray = field(default_factory=bytearray)
    transport: asyncio.DatagramTransport | None = None
    task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Address) -> None:
        kind = data[1] & 0x7F
        if kind == 0:
            self.received += data[12:]
        elif kind == 101:
            event = (data[12], struct.unpack("!I", data[4:8])[0])
            if event not in self.events:
                self.events.append(event)

    def start(self, remote: Address) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self._send(remote))

    def say(self, pcm: Pcm) -> None:
        self.outgoing += encode(pcm, 0)

    def press(self, remote: Address, event: int, number: int) -> None:
        """One RFC 4733 key: start, two updates, three ends."""
        assert self.transport is not None
        for count in range(6):
            end = 0x80 if count >= 3 else 0
            header = struct.pack(
                "!BBHII", 0x80, 101 | (0x80 if count == 0 else 0), number + count, number * 160, 7
            )
            duration = min(count + 1, 4) * 400
            self.transport.sendto(header + struct.pack("!BBH", event, end | 10, duration), remote)

    @property
    def pcm(self) -> Pcm:
        return mulaw_to_pcm(bytes(self.received))

    async def _send(self, remote: Address) -> None:
        loop = asyncio.get_running_loop()
        start, number = loop.time(), 0
        while self.transport is not None and not self.transport.is_closing():
            chunk = bytes(self.outgoing[:FRAME])
            del self.outgoing[:FRAME]
            header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * FRAME, 99)
            self.transport.sendto(header + chunk.ljust(FRAME, b"\xff"), remote)
            number += 1
            await asyncio.sleep(max(0.0, start + number * 0.02 - loop.time()))

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if self.transport is not None:
            self.transport.close()


class Uac(asyncio.DatagramProtocol):
    """One call."""

    def __init__(self, carrier: Address, number: str) -> None:
        self.carrier = carrier
        self.number = number
        self.call_id = secrets.token_hex(8)
        self.branch = ""
        self.cseq = 0
        self.answers: asyncio.Queue[SipAnswer] = asyncio.Queue()
        self.all: list[int] = []
        self.byes = 0
        self.bye = asyncio.Event()
        self.sound = Sound()
        self.invite_text = ""
        self.last: SipAnswer | None = None
        self.transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Uac:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        await loop.create_datagram_endpoint(lambda: self.sound, ("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sound.close()
        assert self.transport is not None
        self.transport.close()

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Address) -> None:
        text = data.decode()
        if text.startswith("SIP/2.0 "):
            answer = SipAnswer(int(text[8:11]), text)
            if f"{self.cseq} INVITE" in answer.header("CSeq"):
                self.all.append(answer.status)
                self.answers.put_nowait(answer)
            return
        if text.startswith("BYE "):
            self.byes += 1
            self.bye.set()
            kept = [
                line
                for line in text.split("\r\n")
                if re.match(r"(Via|From|To|Call-ID|CSeq):", line)
            ]
            self._send("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]), addr)

    def invite(self, *, authorization: str = "") -> None:
        """Send a new INVITE."""
        self.cseq += 1
        self.branch = f"z9hG4bK{secrets.token_hex(6)}"
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.sound.port} RTP/AVP 9 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        )
        extra = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
        extra += f"Contact: <sip:test@127.0.0.1:{self.port}>\r\nContent-Type: application/sdp\r\n"
        self.invite_text = self._request("INVITE", extra=extra, body=sdp)
        self.again()

    def again(self) -> None:
        """Send the very same INVITE once more."""
        self._send(self.invite_text, self.carrier)

    async def final(self, seconds: float = 6.0) -> SipAnswer:
        """Return the final answer."""
        async with asyncio.timeout(seconds):
            while True:
                self.last = await self.answers.get()
                if self.last.status >= 200:
                    return self.last

    async def status(self, wanted: int, seconds: float = 6.0) -> SipAnswer:
        """Return the first answer with this status."""
        async with asyncio.timeout(seconds):
            while True:
                self.last = await self.answers.get()
                if self.last.status == wanted:
                    return self.last

    def ack(self) -> None:
        """Acknowledge the final answer: to the callee for 2xx, along the INVITE's way otherwise."""
        assert self.last is not None
        if self.last.status < 300:
            branch, to, self.remote_rtp = None, self.contact, self.rtp_of(self.last)
        else:
            branch, to = self.branch, self.carrier
        self._send(self._request("ACK", to=self.last.header("To"), branch=branch), to)

    def cancel(self) -> None:
        """Give up."""
        self._send(self._request("CANCEL", branch=self.branch), self.carrier)

    def hang_up(self) -> None:
        """End the dialog."""
        assert self.last is not None
        to, target = self.last.header("To"), self.contact
        self.cseq += 1
        self._send(self._request("BYE", to=to), target)

    @property
    def contact(self) -> Address:
        assert self.last is not None
        found = re.search(r"@([\d.]+):(\d+)", self.last.header("Contact"))
        assert found is not None
        return found[1], int(found[2])

    @staticmethod
    def rtp_of(answer: SipAnswer) -> Address:
        port = re.search(r"^m=audio (\d+)", answer.text, re.MULTILINE)
        assert port is not None
        return "127.0.0.1", int(port[1])

    async def answered(self, seconds: float = 6.0) -> None:
        """Wait for 200, acknowledge it and start the sound."""
        answer = await self.final(seconds)
        assert answer.status == 200, answer.text
        self.ack()
        self.sound.start(self.remote_rtp)

    def _request(
        self,
        method: str,
        *,
        to: str = "",
        branch: str | None = None,
        extra: str = "",
        body: str = "",
    ) -> str:
        number = self.cseq
        branch = branch or (self.branch if method == "INVITE" else f"z9hG4bK{secrets.token_hex(6)}")
        to = to or f"<sip:{self.number}@127.0.0.1>"
        return (
            f"{method} sip:{self.number}@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:+12025550199@127.0.0.1>;tag={self.call_id[:6]}\r\n"
            f"To: {to}\r\nCall-ID: {self.call_id}\r\nCSeq: {number} {method}\r\n"
            f"User-Agent: raw-uac\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _send(self, text: str, to: Address) -> None:
        assert self.transport is not None
        self.transport.sendto(text.encode(), to)


def digest(challenge: str, *, number: str, username: str, password: str) -> str:
    """Return the credentials for a challenge (RFC 2617, MD5, qop=auth)."""
    field_of = dict(re.findall(r'(\w+)="([^"]*)"', challenge))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    uri, cnonce, count = f"sip:{number}@127.0.0.1", "abcdef", "00000001"
    secret = md5(f"{username}:{field_of['realm']}:{password}")
    target = md5(f"INVITE:{uri}")
    value = md5(f"{secret}:{field_of['nonce']}:{count}:{cnonce}:auth:{target}")
    return (
        f'Digest username="{username}", realm="{field_of["realm"]}", nonce="{field_of["nonce"]}", '
        f'uri="{uri}", response="{value}", algorithm=MD5, qop=auth, nc={count}, cnonce="{cnonce}"'
    )
