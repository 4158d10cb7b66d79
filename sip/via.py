"""The Via header: the path of a request, and the way back for its answer (RFC 3261 18.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sip.limits import number

_MAX_PORT = 65_535
# Every quantifier is possessive: what has been read is never read again (no growth by squares).
_HEAD = re.compile(
    r"\s*+SIP\s*+/\s*+2\.0\s*+/\s*+([A-Za-z0-9!%*_+`'~.-]++)\s++"
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)(?:\s*+:\s*+([0-9]{1,5}+))?+\s*+\Z",
    re.IGNORECASE,
)
PARAM = re.compile(r";\s*+([^\s;=]++)(?:\s*+=\s*+(\"(?:[^\"\\]|\\.)*+\"|[^\s;]*+))?+\s*+")


class MalformedMessage(ValueError):
    """A datagram that is no SIP message this element may act on."""


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value: who sent the request, and its parameters (RFC 3261 section 20.42)."""

    transport: str
    host: str
    port: int | None
    params: dict[str, str | None]

    @property
    def branch(self) -> str:
        """The transaction's branch; empty when the sender gave none (RFC 2543)."""
        return self.params.get("branch") or ""

    def render(self) -> str:
        """The header value to write on the wire."""
        place = self.host if self.port is None else f"{self.host}:{self.port}"
        rest = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params.items())
        return f"SIP/2.0/{self.transport} {place}{rest}"


def parse_via(value: str) -> Via:
    """Take one Via value apart."""
    head, semicolon, params = value.partition(";")
    read = _HEAD.match(head)
    if read is None:
        raise MalformedMessage("Via is not SIP/2.0")
    port = number(read[3], most=_MAX_PORT) if read[3] else None
    if read[3] and not port:
        raise MalformedMessage("Via port out of range")
    found: dict[str, str | None] = {}
    for match in PARAM.finditer(semicolon + params):
        found[match[1].lower()] = match[2]
    return Via(read[1].upper(), read[2], port, found)


def reply_address(via: Via) -> tuple[str, int]:
    """Where the answer to a request with this topmost Via goes (RFC 3261 18.2.2, RFC 3581)."""
    rport = via.params.get("rport")
    asked = rport is not None and rport.isascii() and rport.isdigit()
    port = number(rport or "", most=_MAX_PORT) if asked else via.port or 5060
    if not port:
        raise MalformedMessage("Via names no port an answer could go to")
    return (via.params.get("received") or via.host, port)


def mark_source(via: Via, source: tuple[str, int]) -> Via:
    """The Via with the real source noted in it: always `received`, `rport` when asked for."""
    params: dict[str, str | None] = {**via.params, "received": source[0]}
    if "rport" in params:
        params["rport"] = str(source[1])
    return Via(via.transport, via.host, via.port, params)
