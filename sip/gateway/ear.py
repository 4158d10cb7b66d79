"""A call's RTP as it comes, before baresip has it: with its sequence and time stamps.

baresip gives its samples without either, and what its jitter buffer discards is gone. So a second
socket is bound to the same port at the very address that the SDP names, where baresip's is bound to
all of them: the kernel gives each packet to the one that is named more exactly. From here each goes
on to baresip, by way of another loopback address that only baresip's socket covers. Reports and the
room's sound stay baresip's own business.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

from sip.gateway.rtp import Packet, parse
from sip.gateway.rtp_socket import RtpSocket, SocketGone
from sip.gateway.sdp import Place

_ALIASES = ("127.0.0.2", "127.0.0.3")
_LARGEST = 2048
_AT_ONCE = 32  # packets at a look: a flood must not stop the other calls


class Ear(RtpSocket):
    """Listens at a call's RTP port from now until `close`; raises SocketGone when it cannot."""

    def __init__(self, place: Place, baresip: RtpSocket) -> None:
        self.place = place
        self.opened_at = time.monotonic()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._onward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        super().__init__(self._socket.fileno(), os.fstat(self._socket.fileno()).st_ino)
        try:
            self._open(place, baresip)
        except OSError as error:
            self.close()
            raise SocketGone(str(error)) from error
        except SocketGone:
            self.close()
            raise

    def packets(self) -> Iterator[Packet]:
        """What has come since the last time, each passed on to baresip."""
        for _ in range(_AT_ONCE):
            try:
                datagram = self._socket.recv(_LARGEST)
            except OSError:  # nothing more, or closed
                return
            with suppress(OSError):  # baresip is about to close the call
                self._onward.send(datagram)
            packet = parse(datagram)
            if packet is not None:
                yield packet

    def close(self) -> None:
        """Give the port back to baresip alone."""
        self._socket.close()
        self._onward.close()

    def _open(self, place: Place, baresip: RtpSocket) -> None:
        if not baresip.is_everywhere():
            raise SocketGone("nothing could be passed on to a socket at this one address")
        alias = next(each for each in _ALIASES if each != place.host)
        self._onward.bind((alias, 0))
        self._onward.connect((alias, place.port))
        self._onward.setblocking(False)
        self._socket.setblocking(False)
        with baresip.shared():  # only for this moment: else any process could do the same
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((place.host, place.port))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        baresip.only(Place(*self._onward.getsockname()))
