"""What the SDP of a call's messages says: between which addresses sound passes, and by what."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sip.message import Request, Response

_OFFERING = ("INVITE", "UPDATE")
_DIRECTIONS = ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive")
_MEDIA = re.compile(r"m=audio ([0-9]{1,5})[ /]")
_FORMATS = re.compile(r"^(m=audio [0-9]+(?:/[0-9]+)? [A-Z/]+ )([0-9 ]*[0-9])(?=\s*$)", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap:([0-9]{1,3}) ([^\s/]+/[0-9]+)", re.MULTILINE)
STATIC = {0: "pcmu/8000", 8: "pcma/8000", 9: "g722/8000"}
"""Payload types that need no SDP (RFC 3551, table 4)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one end wants its RTP: an IPv4 address and a UDP port."""

    host: str
    port: int


@dataclass(slots=True)
class Ends:
    """The two ends of a call's sound, kept up with its messages as they come.

    An SDP that names no place (a hold by 0.0.0.0, IPv6) leaves what was there before. The far end
    holds the call when a request of its own asks for no sound; an answer to our INVITE that does
    is that of an announcement, or of a call that is still being set up.
    """

    ours: Place | None = None
    theirs: Place | None = None
    formats: dict[int, str] = field(default_factory=lambda: dict(STATIC))  # that come in
    is_on_hold: bool = False
    _offered: tuple[int, Place | None, bool] | None = None

    def received(self, message: Request | Response, place: Place | None, holds: bool) -> None:
        """A message of the far end with SDP: an offer holds once we have accepted it."""
        if not isinstance(message, Request):
            self._take(place, holds=False)
        elif message.method in _OFFERING:
            self._offered = (message.cseq[0], place, holds)
        else:  # the answer to an INVITE without SDP, in its ACK
            self._take(place, holds=holds)

    def sent(self, message: Request | Response, place: Place) -> None:
        """A message of ours with SDP: our offer, or our answer to theirs."""
        self.ours = place
        if self._offered is None or isinstance(message, Request):
            return
        number, offered, holds = self._offered
        if message.cseq[0] == number and message.status < 300:
            self._offered = None
            self._take(offered, holds=holds)

    def _take(self, place: Place | None, *, holds: bool) -> None:
        self.theirs, self.is_on_hold = place or self.theirs, holds


def formats(body: str) -> dict[int, str]:
    """The payload types of the first audio stream in their order, and what each is.

    That is the encoding's name in small letters and its clock's rate, `g722/8000`; empty for one
    of which nothing is known.
    """
    media = _FORMATS.search(body)
    if media is None:
        return {}
    stream = body[media.end() :].partition("\nm=")[0]
    named = STATIC | {int(kind): encoding.lower() for kind, encoding in _RTPMAP.findall(stream)}
    kinds = (int(kind) for kind in media[2].split() if len(kind) <= 3)
    return {kind: named.get(kind, "") for kind in kinds}


def preferring(body: str, payload_type: int) -> str:
    """The same SDP with this payload type of its first audio stream before the others."""

    def first(media: re.Match[str]) -> str:
        kinds = sorted(media[2].split(), key=lambda kind: kind != str(payload_type))
        return media[1] + " ".join(kinds)

    return _FORMATS.sub(first, body, count=1)


def audio_place(body: str) -> Place | None:
    """Where the first audio stream of an SDP is wanted; None when it names no IPv4 place.

    The SDP may be one part of a multipart body.
    """
    host, port = "", 0
    for line in _audio_lines(body):
        if line.startswith("c="):
            host = line.split()[-1].partition("/")[0]
        elif line.startswith("m=audio "):
            port = _port(line)
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return None
    return Place(str(address), port) if port and not address.is_unspecified else None


def asks_for_no_sound(body: str) -> bool:
    """Whether the first audio stream of an SDP wants nothing to be sent to it.

    It says so by its direction (RFC 3264 section 8.4), or by the address 0.0.0.0 as of old.
    """
    direction = host = ""
    for line in _audio_lines(body):
        if line in _DIRECTIONS:
            direction = line
        elif line.startswith("c="):
            host = line.split()[-1]
    return direction in ("a=sendonly", "a=inactive") or host == "0.0.0.0"


def _audio_lines(body: str) -> Iterator[str]:
    """The lines of an SDP that hold for its first audio stream."""
    _, found, sdp = body.partition("v=0")
    kind = ""
    for line in sdp.splitlines() if found else ():
        if line.startswith("--") or (line.startswith("m=") and kind == "m=audio "):
            return  # the next part of the body, or the next stream
        if line.startswith("m="):
            kind = line[:8]
        if kind in ("", "m=audio "):
            yield line


def _port(line: str) -> int:
    """The port of an m= line; 0 when it is broken or the stream is refused."""
    found = _MEDIA.match(line)
    port = int(found[1]) if found else 0
    return port if port < 2**16 else 0
