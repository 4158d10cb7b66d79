"""SIP messages as bytes and as objects: what a stateless element needs (RFC 3261 section 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sip.limits import MAX_DATAGRAM, MAX_HEADER, MAX_HEADERS, MAX_VIAS, number
from sip.via import PARAM, MalformedMessage, Via, parse_via

__all__ = ["MalformedMessage", "Message", "NameAddress", "Request", "Response", "Via", "parse"]

_COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
    "c": "content-type", "s": "subject", "k": "supported", "e": "content-encoding",
    "r": "refer-to", "b": "referred-by", "o": "event", "u": "allow-events",
}  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z0-9!%*_+`'~.-]+\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"]+\Z")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?\Z")
_SINGLE = ("from", "to", "call-id", "cseq", "content-length", "max-forwards")
_MAX_CSEQ = 2**31 - 1
_MAX_HOPS = 255


@dataclass(frozen=True, slots=True)
class NameAddress:
    """An address header taken apart: display name, URI, and the parameters after the brackets."""

    display: str
    uri: str
    params: dict[str, str]

    @property
    def user(self) -> str:
        """The user part of a sip/sips URI, or the digits of a tel URI; empty when there is none."""
        return uri_user(self.uri)


@dataclass(slots=True)
class Message:
    """What requests and responses share: headers in their order, and the body."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header, named without regard to case; None when absent."""
        wanted = name.lower()
        return next((v for n, v in self.headers if canonical(n) == wanted), None)

    def values(self, name: str) -> list[str]:
        """Every value of a list header, comma lists split outside quotes."""
        wanted = name.lower()
        found = (v for n, v in self.headers if canonical(n) == wanted)
        return [part for value in found for part in split_list(value)]

    def replace(self, name: str, values: list[str]) -> None:
        """Put these values, one line each, where the header stood first (or at the top)."""
        wanted = name.lower()
        at = next((i for i, (n, _) in enumerate(self.headers) if canonical(n) == wanted), 0)
        kept = [(n, v) for n, v in self.headers if canonical(n) != wanted]
        kept[at:at] = [(name, value) for value in values]
        self.headers = kept

    @property
    def vias(self) -> list[Via]:
        """All Via values, topmost first; raises MalformedMessage on a broken or one too many."""
        values = self.values("via")
        if len(values) > MAX_VIAS:
            raise MalformedMessage("too many Vias")
        return [parse_via(value) for value in values]

    @property
    def call_id(self) -> str:
        """The Call-ID value."""
        return self.header("call-id") or ""

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method of CSeq; raises MalformedMessage on a broken one."""
        digits, _, method = (self.header("cseq") or "").strip().partition(" ")
        sequence = number(digits, most=_MAX_CSEQ)
        if sequence is None:
            raise MalformedMessage("CSeq number is not a number below 2^31")
        return sequence, method.strip()

    @property
    def hops(self) -> int:
        """Max-Forwards, 70 when absent; raises MalformedMessage on a broken one."""
        given = self.header("max-forwards")
        left = 70 if given is None else number(given, most=_MAX_HOPS)
        if left is None:
            raise MalformedMessage("Max-Forwards is not a number up to 255")
        return left

    def address(self, name: str) -> NameAddress:
        """From, To or Contact taken apart; raises MalformedMessage when it is broken."""
        return parse_address(self.header(name) or "")


@dataclass(slots=True)
class Request(Message):
    """A SIP request, with the address its datagram came from."""

    method: str = ""
    uri: str = ""
    source: tuple[str, int] = ("", 0)

    @property
    def user(self) -> str:
        """The user part of the Request-URI: the number called."""
        return uri_user(self.uri)

    @property
    def in_dialog(self) -> bool:
        """True when the To header carries a tag, so the request belongs to a dialog."""
        return bool(self.address("to").params.get("tag"))

    def encode(self) -> bytes:
        """The request as a datagram, Content-Length corrected."""
        return _encode(f"{self.method} {self.uri} SIP/2.0", self)


@dataclass(slots=True)
class Response(Message):
    """A SIP response."""

    status: int = 0
    reason: str = ""

    def encode(self) -> bytes:
        """The response as a datagram, Content-Length corrected."""
        return _encode(f"SIP/2.0 {self.status} {self.reason}", self)


def canonical(name: str) -> str:
    """The lower-case long form of a header name."""
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def split_list(value: str) -> list[str]:
    """The elements of a comma list, commas inside quotes or angle brackets left alone."""
    if "," not in value:
        return [value.strip()]
    parts, start, quoted, angle, skip = [], 0, False, False, False
    for i, char in enumerate(value):
        if skip:
            skip = False
        elif quoted:
            skip, quoted = char == "\\", char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            angle = char == "<"
        elif char == "," and not angle:
            parts.append(value[start:i].strip())
            start = i + 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]


def uri_user(uri: str) -> str:
    """The user part of a sip/sips URI without parameters or password, or a tel URI's number."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "tel":
        return rest.partition(";")[0]
    if "@" not in rest:
        return ""
    return rest.rpartition("@")[0].partition(";")[0].partition(":")[0]


def parse_address(value: str) -> NameAddress:
    """Take a From/To/Contact value apart (RFC 3261 section 20.10)."""
    text = value.strip()
    display = ""
    if text.startswith('"'):
        match = re.match(r'"((?:[^"\\]|\\.)*)"\s*', text)
        if match is None:
            raise MalformedMessage("display name has no closing quote")
        display, text = re.sub(r"\\(.)", r"\1", match[1]), text[match.end() :]
    if "<" in text:
        before, _, rest = text.partition("<")
        uri, closed, params = rest.partition(">")
        if not closed:
            raise MalformedMessage("address has no closing bracket")
        display = display or before.strip()
    else:
        uri, semicolon, params = text.partition(";")
        params = semicolon + params
    if not uri.strip() or ":" not in uri:
        raise MalformedMessage("address has no URI")
    found = {k.lower(): v.strip('"') for k, v in PARAM.findall(params)}
    return NameAddress(display, uri.strip(), found)


def parse(datagram: bytes, source: tuple[str, int]) -> Request | Response:
    """Read one datagram; raises MalformedMessage on anything not worth acting on.

    Bytes that are no UTF-8 survive a round trip (surrogate escapes). The work is bounded: by the
    datagram's size, by the number of headers and Vias, and by the length of each.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise MalformedMessage("datagram is too long")
    text, body = _split_body(datagram.lstrip(b"\r\n"))
    lines = text.replace("\r\n", "\n").split("\n")
    message = _start(lines[0], source)
    message.headers = _headers(lines[1:])
    message.body = body
    _check(message)
    return message


def _split_body(datagram: bytes) -> tuple[str, bytes]:
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := datagram.find(mark)) >= 0]
    if not ends:
        raise MalformedMessage("headers do not end")
    at, width = min(ends)
    return datagram[:at].decode("utf-8", "surrogateescape"), datagram[at + width :]


def _start(line: str, source: tuple[str, int]) -> Request | Response:
    status = _STATUS_LINE.match(line)
    if status is not None:
        return Response(status=int(status[1]), reason=status[2] or "")
    parts = line.split(" ")
    if len(parts) != 3 or parts[2] != "SIP/2.0":
        raise MalformedMessage("first line is neither a request nor a status")
    if not _TOKEN.match(parts[0]) or not _URI.match(parts[1]):
        raise MalformedMessage("method or Request-URI is broken")
    return Request(method=parts[0], uri=parts[1], source=source)


def _headers(lines: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in _unfolded(lines):
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.match(name.rstrip()) or "\r" in value or "\0" in value:
            raise MalformedMessage("header line is broken")
        found.append((name.rstrip(), value.strip()))
    return found


def _unfolded(lines: list[str]) -> list[str]:
    """Header lines with their continuations, each joined once."""
    folded: list[list[str]] = []
    for line in lines:
        if line[:1] not in (" ", "\t"):
            folded.append([line])
        elif folded:
            folded[-1].append(line.strip())
        else:
            raise MalformedMessage("first header is a continuation")
    if len(folded) > MAX_HEADERS:
        raise MalformedMessage("too many headers")
    whole = [" ".join(pieces) for pieces in folded]
    if any(len(line) > MAX_HEADER for line in whole):
        raise MalformedMessage("a header is too long")
    return whole


def _check(message: Request | Response) -> None:
    """What every element needs to route a message at all (RFC 3261 section 8.1.1)."""
    names = [canonical(name) for name, _ in message.headers]
    if any(names.count(single) > 1 for single in _SINGLE):
        raise MalformedMessage("a header that may stand once stands twice")
    if not message.call_id or not message.vias:
        raise MalformedMessage("no Call-ID or no Via")
    message.address("from")
    message.address("to")
    _ = message.hops
    method = message.cseq[1]
    if isinstance(message, Request) and method != message.method:
        raise MalformedMessage("CSeq method differs from the request's")
    length = message.header("content-length")
    if length is None:
        return
    size = number(length, most=len(message.body))
    if size is None:
        raise MalformedMessage("Content-Length is no number, or the body is shorter")
    message.body = message.body[:size]


def _encode(start: str, message: Message) -> bytes:
    lines = [start]
    lines += [f"{n}: {v}" for n, v in message.headers if canonical(n) != "content-length"]
    lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + message.body
