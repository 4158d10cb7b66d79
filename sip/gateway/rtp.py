"""RTP packets taken apart (RFC 3550 section 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct(">BBHII")
_PADDED, _EXTENDED, _SOURCES = 0x20, 0x10, 0x0F


@dataclass(frozen=True, slots=True)
class Packet:
    """What the header says, and the payload."""

    payload_type: int
    sequence: int
    timestamp: int
    source: int
    payload: bytes


def parse(datagram: bytes) -> Packet | None:
    """The packet; None when it is none of version 2, or cut off."""
    if len(datagram) < _HEADER.size or datagram[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, source = _HEADER.unpack_from(datagram)
    start, end = _HEADER.size + 4 * (first & _SOURCES), len(datagram)
    if first & _EXTENDED:
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
    if first & _PADDED:
        end -= datagram[-1]
    if start > end:
        return None
    return Packet(second & 0x7F, sequence, timestamp, source, datagram[start:end])
