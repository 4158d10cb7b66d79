"""A phone's keys, read from its RTP: each once, whatever packets of it arrive (RFC 4733).

A key is known by the time stamp that all its packets share. So one packet of it is enough, be it
the first, an update or one of the three that end it; marker and end say nothing that is needed, and
packets that come late, twice, or after the next key change nothing. Two equal keys in a row are two
time stamps.
"""

from __future__ import annotations

import struct
from collections import deque

from sip.gateway.dtmf import KEYS
from sip.gateway.rtp import Packet

_DYNAMIC = 96  # the payload types below are sound; what is dynamic here and four bytes are keys
_PAYLOAD = struct.Struct(">BBH")
_LONGEST = 0xFFFF  # a key held longer goes on with a new time stamp, so much later
_STEP = 480  # 60 ms: no hand presses again so soon, but some senders count on within one key
_REMEMBERED = 32
_MOST_SOURCES = 4


class _Source:
    """What one sender has pressed."""

    def __init__(self) -> None:
        self._known: deque[int] = deque(maxlen=_REMEMBERED)
        self._latest: tuple[int, int] | None = None  # the newest time stamp and its event

    def is_new(self, timestamp: int, event: int) -> bool:
        """Whether a packet tells of a key that none told of before."""
        if timestamp in self._known:
            return False
        self._known.append(timestamp)
        latest, self._latest = self._latest, (timestamp, event)
        if latest is None:
            return True
        after = (timestamp - latest[0]) % 2**32
        if after >= 2**31:  # an older key, whose packets were overtaken
            self._latest = latest
            return True
        goes_on = after < _STEP or _LONGEST - 1 <= after <= _LONGEST + 1
        return not (goes_on and event == latest[1])


class KeyReader:
    """Reads one call's packets, in the order of their coming."""

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}

    def read(self, packet: Packet) -> str | None:
        """Return the key that a packet is the first to tell of; None for every other packet."""
        if packet.payload_type < _DYNAMIC or len(packet.payload) != _PAYLOAD.size:
            return None
        event, _, _ = _PAYLOAD.unpack(packet.payload)
        if event >= len(KEYS):
            return None
        if packet.source not in self._sources and len(self._sources) >= _MOST_SOURCES:
            del self._sources[next(iter(self._sources))]
        source = self._sources.setdefault(packet.source, _Source())
        return KEYS[event] if source.is_new(packet.timestamp, event) else None
