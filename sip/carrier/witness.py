"""What the carrier saw and heard, as it happened: one JSON line each, flushed at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Any

import msgspec

from sip.message import MalformedMessage, NameAddress, Request, Response, parse

_KEPT_REQUESTS = ("INVITE", "CANCEL", "ACK", "BYE")


class Witness:
    """Appends to a file; every line has `t` (Unix time) and `event`."""

    def __init__(self, path: Path | None = None, *, echo: IO[str] | None = None) -> None:
        """Open the log.

        Args:
            path: the file; null writes none.
            echo: also gets every line.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8") if path is not None else None
        self._echo = echo
        self._seen: set[tuple[str, str, int]] = set()

    def note(self, event: str, **facts: Any) -> None:
        """Write one line."""
        line = msgspec.json.encode({"t": round(time.time(), 4), "event": event, **facts}).decode()
        for out in (self._file, self._echo):
            if out is not None:
                out.write(line + "\n")
                out.flush()

    def saw(self, datagram: bytes, source: tuple[str, int], scenario_of: Any) -> None:
        """Write what a datagram from the network was, at arrival; others are passed over."""
        try:
            message = parse(datagram, source)
            if isinstance(message, Request) and message.method in _KEPT_REQUESTS:
                self.request(message, scenario_of(message.user))
        except MalformedMessage:
            return

    def request(self, request: Request, scenario: str | None) -> None:
        """Write an INVITE, CANCEL, ACK or BYE; `retransmission` marks a repeated INVITE."""
        branch, (number, method) = request.vias[0].branch, request.cseq
        key = (request.call_id, branch, number)
        facts: dict[str, Any] = {
            "call_id": request.call_id,
            "cseq": number,
            "branch": branch,
            "from": _user(request.address("from")),
            "to": request.user,
            "scenario": scenario,
        }
        if method == "INVITE":
            facts |= {
                "user_agent": request.header("user-agent"),
                "source": f"{request.source[0]}:{request.source[1]}",
                "headers": [list(header) for header in request.headers],
                "retransmission": key in self._seen,
            }
            self._seen.add(key)
        self.note(method.lower(), **facts)

    def answered(self, response: Response) -> None:
        """Write a final answer to an INVITE."""
        if response.status >= 200 and response.cseq[1] == "INVITE":
            key = (response.call_id, str(response.status), response.cseq[0])
            self.note(
                "final",
                call_id=response.call_id,
                cseq=response.cseq[0],
                retransmission=key in self._seen,
                status=response.status,
                reason=response.reason,
            )
            self._seen.add(key)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _user(address: NameAddress) -> str:
    return address.user or address.uri
