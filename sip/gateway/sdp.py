"""Between which two addresses a call's sound passes, read from the SDP of its messages."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from sip.message import Request, Response

_OFFERING = ("INVITE", "UPDATE")
_MEDIA = re.compile(r"m=audio ([0-9]{1,5})[ /]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one end wants its RTP: an IPv4 address and a UDP port."""

    host: str
    port: int


@dataclass(slots=True)
class Ends:
    """The two ends of a call's sound, kept up with its messages as they come.

    An SDP that names no place (a hold by 0.0.0.0, IPv6) leaves what was there before.
    """

    ours: Place | None = None
    theirs: Place | None = None
    _offered: tuple[int, Place] | None = None

    def received(self, message: Request | Response, place: Place) -> None:
        """A message of the far end with SDP: an offer holds once we have accepted it."""
        if isinstance(message, Request) and message.method in _OFFERING:
            self._offered = (message.cseq[0], place)
        else:
            self.theirs = place

    def sent(self, message: Request | Response, place: Place) -> None:
        """A message of ours with SDP: our offer, or our answer to theirs."""
        self.ours = place
        if self._offered is None or isinstance(message, Request):
            return
        number, offered = self._offered
        if message.cseq[0] == number and message.status < 300:
            self.theirs, self._offered = offered, None


def audio_place(body: str) -> Place | None:
    """Where the first audio stream of an SDP is wanted; None when it names no IPv4 place.

    The SDP may be one part of a multipart body.
    """
    _, found, sdp = body.partition("v=0")
    host, port = "", 0
    for line in sdp.splitlines() if found else ():
        if line.startswith("--") or (line.startswith("m=") and port):
            break  # the next part of the body, or the next stream
        if line.startswith("c="):
            host = line.split()[-1].partition("/")[0]
        elif line.startswith("m=audio "):
            port = _port(line)
            if port == 0:
                break
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return None
    return Place(str(address), port) if port and not address.is_unspecified else None


def _port(line: str) -> int:
    """The port of an m= line; 0 when it is broken or the stream is refused."""
    found = _MEDIA.match(line)
    port = int(found[1]) if found else 0
    return port if port < 2**16 else 0
