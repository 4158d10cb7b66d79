"""SIP datagrams for the tests of the front, and a transport that keeps what is sent."""

from __future__ import annotations

import asyncio
from typing import Any

PHONE = ("192.0.2.7", 5062)


def invite(
    *,
    method: str = "INVITE",
    branch: str = "z9hG4bKphone1",
    call_id: str = "call-1@phone",
    cseq: int = 1,
    to_tag: str = "",
    extra: str = "",
    body: str = "",
    user: str = "100",
) -> bytes:
    """A request as a phone at 192.0.2.7 would send it."""
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:{user}@198.51.100.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.7:5062;branch={branch};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:alice@192.0.2.7>;tag=a1\r\n"
        f"To: <sip:{user}@198.51.100.1>{tag}\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {cseq} {method}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Wire(asyncio.DatagramTransport):
    """A transport without a socket: what the front sends lies in `sent`."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("198.51.100.1", 5060)})
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((bytes(data), addr))

    def is_closing(self) -> bool:
        return False

    def take(self) -> tuple[str, tuple[str, int]]:
        """The oldest datagram sent and not yet taken."""
        data, to = self.sent.pop(0)
        return data.decode("utf-8", "replace"), to
