"""What the two ends of a call's short way say to each other, one message per packet.

All numbers are little-endian; a packet is at most `MOST` bytes. Sound is PCM, 16 bit, mono, at the
rate that the offering side names; nothing encodes it. An instant is in microseconds of
CLOCK_MONOTONIC, which the processes of one machine share.

| message | bytes | from | meaning |
|---|---|---|---|
| HELLO | 1, version, rate (2), token (32), identity (UTF-8) | taker, first | this call is mine; I am this participant of the room |
| HELLO | 1, version, rate (2) | offerer, in answer | it is; sound has this rate |
| SOUND | 2, instant (8) of the first sample, samples | both | taker: play it then; offerer: it was said then |
| CLEAR | 3 | taker | play nothing of what you still hold |
| ROOM | 5, 0 or 1 | offerer | others need the sound (1): send and hear through the room until 0 |
| BYE | 4 | both | the call is over; without it, an end means: go on through the room |
"""  # noqa: E501

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
TOKEN = 32
"""Characters of a token, hexadecimal: 128 random bits."""
MOST = 4096
"""Bytes of a packet: 128 ms of sound at 16 kHz."""
RATES = (8_000, 16_000)
_HELLO = struct.Struct("<BBH")
_SOUND = struct.Struct("<Bq")
_MOST_IDENTITY = 512


class Malformed(Exception):
    """A packet that is no message; who sends one is not spoken to any longer."""


class Kind(IntEnum):
    """The first byte of a packet."""

    HELLO = 1
    SOUND = 2
    CLEAR = 3
    BYE = 4
    ROOM = 5


@dataclass(frozen=True, slots=True)
class Hello:
    """The taker's has a token and an identity, the answer a rate (Hz)."""

    token: str = ""
    identity: str = ""
    rate: int = 0
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples, and the instant (µs) of the first one."""

    at: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Clear:
    """Play nothing of what is held."""


@dataclass(frozen=True, slots=True)
class Room:
    """Whether the room carries the sound, because others need it."""

    carries: bool


@dataclass(frozen=True, slots=True)
class Bye:
    """The call is over."""


Message = Hello | Sound | Clear | Room | Bye


def encode(message: Message) -> bytes:
    """The packet of a message."""
    if isinstance(message, Sound):
        return _SOUND.pack(Kind.SOUND, message.at) + message.pcm
    if isinstance(message, Hello):
        head = _HELLO.pack(Kind.HELLO, message.version, message.rate)
        return head + message.token.encode("ascii") + message.identity.encode()
    if isinstance(message, Room):
        return bytes([Kind.ROOM, message.carries])
    return bytes([Kind.CLEAR if isinstance(message, Clear) else Kind.BYE])


def decode(packet: bytes) -> Message:
    """The message of a packet; raises Malformed."""
    if not 0 < len(packet) <= MOST:
        raise Malformed(f"{len(packet)} bytes")
    kind = packet[0]
    if kind == Kind.SOUND:
        return _sound(packet)
    if kind == Kind.HELLO:
        return _hello(packet)
    if kind in (Kind.CLEAR, Kind.BYE) and len(packet) == 1:
        return Clear() if kind == Kind.CLEAR else Bye()
    if kind == Kind.ROOM and len(packet) == 2 and packet[1] < 2:
        return Room(bool(packet[1]))
    raise Malformed(f"no message begins with {kind}")


def _sound(packet: bytes) -> Sound:
    size = len(packet) - _SOUND.size
    if size <= 0 or size % 2:
        raise Malformed(f"{size} bytes of sound")
    return Sound(_SOUND.unpack_from(packet)[1], packet[_SOUND.size :])


def _hello(packet: bytes) -> Hello:
    if len(packet) < _HELLO.size:
        raise Malformed("half a greeting")
    _, version, rate = _HELLO.unpack_from(packet)
    rest = packet[_HELLO.size :]
    if version != VERSION:
        raise Malformed(f"version {version}")
    if not rest:
        if rate not in RATES:
            raise Malformed(f"a rate of {rate} Hz")
        return Hello(rate=rate)
    if rate or not TOKEN <= len(rest) <= TOKEN + _MOST_IDENTITY:
        raise Malformed("a token of the wrong size")
    try:
        return Hello(rest[:TOKEN].decode("ascii"), rest[TOKEN:].decode())
    except UnicodeDecodeError as error:
        raise Malformed("no text") from error
