"""A wire tap that needs no rights: SIP and RTP of one call pass through its sockets.

    python bench/relay.py --port 15060 --phone 15080 --log packets.bin

The agent's side dials `--port`; INVITE and answer pass on with the media address put in place of
their own, so both streams pass, too. Every RTP packet is written to the log with the time at which
the kernel received it, so that this process's own delays are in no figure; the 200 to the INVITE
is noted in the same way. It knows the standard library only: it is up at once and costs little.
Ports: `--port` SIP, +1 RTP and +2 RTCP on the agent's side, +3 and +4 on the phone's.
"""

from __future__ import annotations

import argparse
import re
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

HOST = "127.0.0.1"
PORTS = 5
CALLER, AGENT, ANSWER = 0, 1, 2
RECORD = struct.Struct("<dBH")
"""A record of the log: seconds since the epoch, what it is, how many bytes of it follow."""
_SO_TIMESTAMPNS = 35
_MEDIA = re.compile(rb"(?m)^(m=audio )(\d+)")
_RTCP = re.compile(rb"(?m)^a=rtcp:(\d+)[^\r\n]*\r\n")
_LENGTH = re.compile(rb"(?im)^(content-length|l)(\s*:\s*)\d+")
Address = tuple[str, int]


def passed_on(message: bytes, port: int) -> tuple[bytes, int | None]:
    """Return a SIP message with `port` as its media's, and the media port that it had."""
    head, separator, body = message.partition(b"\r\n\r\n")
    found = _MEDIA.search(body)
    if found is None:
        return message, None
    body = _MEDIA.sub(lambda match: match[1] + str(port).encode(), body)
    body = _RTCP.sub(b"", body)
    head = _LENGTH.sub(lambda match: match[1] + match[2] + str(len(body)).encode(), head)
    return head + separator + body, int(found[2])


class Relay:
    """The sockets of one call."""

    def __init__(self, port: int, phone: int, log: Path) -> None:
        self._log = log.open("wb")
        self._phone: Address = (HOST, phone)
        self._agent: Address | None = None
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._sip = self._bound(port, self._on_sip)
        self._media: dict[tuple[int, int], socket.socket] = {}
        self._to: dict[int, Address] = {}
        for side, first in ((AGENT, port + 1), (CALLER, port + 3)):
            for kind in (0, 1):
                self._media[side, kind] = self._bound(
                    first + kind, partial(self._on_media, side, kind)
                )

    def run(self) -> None:
        """Relay until the process is told to end, or who started it has ended."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._selector.register(sys.stdin, selectors.EVENT_READ)  # it ends with who started it
        sys.stdout.write("up\n")
        sys.stdout.flush()
        while True:
            for key, _ in self._selector.select():
                sock, handle = key.fileobj, key.data
                if not isinstance(sock, socket.socket):
                    self._end()
                try:
                    data, extra, _, sender = sock.recvmsg(65_535, 64)
                except ConnectionRefusedError:  # the other side has gone
                    continue
                seconds, nanos = struct.unpack("ll", extra[0][2][:16])
                handle(data, sender, seconds + nanos / 1e9)

    def _end(self) -> NoReturn:
        self._log.close()
        sys.exit(0)

    def _bound(self, port: int, handle: Callable[[bytes, Address, float], None]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((HOST, port))
        self._selector.register(sock, selectors.EVENT_READ, handle)
        return sock

    def _on_sip(self, data: bytes, sender: Address, at: float) -> None:
        if sender == self._phone:
            own, side, other = self._port + 1, CALLER, self._agent
            if data.startswith(b"SIP/2.0 200") and b"INVITE" in data.partition(b"\r\n\r\n")[0]:
                self._note(at, ANSWER, b"")
        else:
            own, side, other = self._port + 3, AGENT, self._phone
            self._agent = sender
        message, port = passed_on(data, own)
        if port is not None:
            self._to[side] = (HOST, port)
        if other is not None:
            self._sip.sendto(message, other)

    def _on_media(self, side: int, kind: int, data: bytes, _sender: Address, at: float) -> None:
        """Pass on what came from one side, out of the socket that the other side knows."""
        if kind == 0:
            self._note(at, side, data)
        other = AGENT if side == CALLER else CALLER
        to = self._to.get(other)
        if to is not None:
            self._media[other, kind].sendto(data, (to[0], to[1] + kind))

    def _note(self, at: float, what: int, data: bytes) -> None:
        self._log.write(RECORD.pack(at, what, len(data)) + data)


def main() -> None:
    """Relay the call of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--phone", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    Relay(options.port, options.phone, options.log).run()


if __name__ == "__main__":
    main()
