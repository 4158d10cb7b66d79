"""A UDP socket that belongs to libbaresip but lies in this process: a call's for RTP, or SIP's.

Nothing is held open: each access duplicates the descriptor for a moment, after which the port is
baresip's alone again, and makes sure that it still is the same socket.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil

from sip.gateway.sdp import Place

_ANY = "0.0.0.0"  # baresip binds RTP so, whatever address the SDP names
_ATTACH_FILTER, _MEMINFO = 26, 55  # asm-generic/socket.h
_LOAD_WORD, _LOAD_HALF, _IF_EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06  # linux/bpf_common.h
_FROM_IP_HEADER = 2**32 - 0x100000  # SKF_NET_OFF; without it, offsets count from the UDP header
_SOURCE_ADDRESS, _SOURCE_PORT = 12, 0
_WHOLE = 2**18 - 1


class SocketGone(Exception):
    """The socket was closed, or it cannot be looked at on this system."""


def program(place: Place, *, wanted: bool) -> bytes:
    """The classic BPF program that lets in only what comes from this place, or all but that.

    Port 0 stands for every port.
    """
    address = int.from_bytes(socket.inet_aton(place.host), "big")
    ports = ((_LOAD_HALF, 0, 0, _SOURCE_PORT), (_IF_EQUAL, 0, 1, place.port)) if place.port else ()
    steps = (
        (_LOAD_WORD, 0, 0, _FROM_IP_HEADER + _SOURCE_ADDRESS),
        (_IF_EQUAL, 0, len(ports) + 1, address),
        *ports,
        (_RETURN, 0, 0, _WHOLE if wanted else 0),
        (_RETURN, 0, 0, 0 if wanted else _WHOLE),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


class RtpSocket:
    """One UDP socket of this process; every method raises SocketGone once it is closed."""

    def __init__(self, fd: int, inode: int):
        self._fd = fd
        self._inode = inode

    @staticmethod
    def at(place: Place) -> RtpSocket:
        """The socket of this process that is bound to a place; raises SocketGone when none is.

        One that is bound to the port at every address comes before one that is bound to this one.
        """
        places = ((_ANY, place.port), (place.host, place.port))
        try:
            opened = {found.laddr: found.fd for found in psutil.Process().net_connections("udp")}
            for each in places:
                if each in opened:
                    return RtpSocket(opened[each], os.fstat(opened[each]).st_ino)
        except (OSError, psutil.Error) as error:
            raise SocketGone(str(error)) from error
        raise SocketGone(f"UDP port {place.port} is not open here")

    def only(self, place: Place) -> None:
        """Refuse from now on what does not come from this place."""
        self._attach(program(place, wanted=True))

    def all_but(self, place: Place) -> None:
        """Refuse from now on what comes from this place."""
        self._attach(program(place, wanted=False))

    def from_host(self, place: Place) -> None:
        """Refuse from now on what does not come from this place's host, whatever its port."""
        self._attach(program(Place(place.host, 0), wanted=True))

    def is_everywhere(self) -> bool:
        """Whether it is bound to its port at every address."""
        with self._opened() as opened:
            return bool(opened.getsockname()[0] == _ANY)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Let another socket be bound to the same port meanwhile."""
        with self._opened() as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                yield
            finally:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def send(self, datagram: bytes, place: Place) -> None:
        """Send a datagram from here."""
        with self._opened() as opened:
            opened.sendto(datagram, (place.host, place.port))

    def refused(self) -> int:
        """How many packets were refused so far."""
        with self._opened() as opened:
            info = opened.getsockopt(socket.SOL_SOCKET, _MEMINFO, 36)
            return int(struct.unpack("=9I", info)[8])

    def _attach(self, code: bytes) -> None:
        held = ctypes.create_string_buffer(code, len(code))
        descriptor = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
        with self._opened() as opened:
            opened.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, descriptor)

    @contextmanager
    def _opened(self) -> Iterator[socket.socket]:
        try:
            with closing(socket.socket(fileno=os.dup(self._fd))) as opened:
                if os.fstat(opened.fileno()).st_ino != self._inode:
                    raise SocketGone("the descriptor is another's by now")
                yield opened
        except (OSError, struct.error) as error:
            raise SocketGone(str(error)) from error
