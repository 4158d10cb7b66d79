"""The control plane's internal API, as the agent uses it."""

from __future__ import annotations

import ssl
from typing import Protocol

import httpx
import msgspec

from control_plane.domain.brief import CallBrief, decode_brief
from control_plane.domain.errors import TokenUsed
from control_plane.domain.events import EventBatch, EventReceipt
from control_plane.domain.human_leg import HumanAsked, HumanSaid, HumanView
from control_plane.domain.recording import RecordingKind
from process.keep_alive import LIMITS
from process.wear import Worn

REQUEST_LIMIT_S = 10.0
FOLLOW_S = 5
_TLS = ssl.create_default_context()
"""Made once: reading the certificates takes longer than the whole request for a brief."""
# Made before there are threads: control_plane/domain/brief.py says why.
_RECEIPT = msgspec.json.Decoder(EventReceipt)


class Unreachable(Exception):
    """The control plane gave no answer, or a passing failure; trying again may work."""

    loggable = True


class Refused(Exception):
    """The control plane said no: another owner holds the session, or the token is spent."""

    loggable = True


class Taken(Refused):
    """Another agent has the call, and its room."""


class SessionApi(Protocol):
    """Where a session's events and recording go."""

    async def post_events(self, session_id: str, batch: EventBatch) -> EventReceipt:
        """Store the batch; returns how far the stream is safe."""

    async def post_recording(
        self, session_id: str, kind: RecordingKind, offset: int, page: bytes
    ) -> int:
        """Append `page` at `offset` bytes of that file; returns the size stored."""


class HumansApi(Protocol):
    """Where humans are asked into a session; all raise `Unreachable` or `Refused`."""

    async def request_human(self, session_id: str, asked: HumanAsked) -> HumanView:
        """Have a human dialled into the room; asking again with the same id is harmless."""

    async def follow_human(self, session_id: str, leg_id: str) -> HumanView:
        """Return how far it is, within some seconds, sooner once that is final."""

    async def note_human(self, session_id: str, leg_id: str, said: HumanSaid) -> HumanView:
        """Have it kept what they said who was asked first; again is harmless."""


class InternalApi:
    """HTTP client of the internal listener, with one bearer token.

    Every method raises `Unreachable` or `Refused`.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=REQUEST_LIMIT_S,
            limits=LIMITS,
            trust_env=False,
            verify=_TLS,
        )

    async def fetch_brief(self) -> CallBrief:
        """Return the brief that the dispatch's one-use token opens."""
        answer = await self._send("GET", "/internal/brief")
        return decode_brief(answer.content)

    async def claim_inbound(self) -> CallBrief:
        """Return the brief for the call in the room that the job's own LiveKit token opens.

        The first job that asks for a room has it; asking again is harmless.
        """
        answer = await self._send("POST", "/internal/inbound")
        return decode_brief(answer.content)

    async def post_events(self, session_id: str, batch: EventBatch) -> EventReceipt:
        """Store the batch; returns how far the stream is safe."""
        answer = await self._send(
            "POST",
            f"/internal/sessions/{session_id}/events",
            content=msgspec.json.encode(batch),
        )
        return _RECEIPT.decode(answer.content)

    async def post_recording(
        self, session_id: str, kind: RecordingKind, offset: int, page: bytes
    ) -> int:
        """Append `page` at `offset` bytes of that file; returns the size stored."""
        answer = await self._send(
            "POST",
            f"/internal/recordings/{session_id}?kind={kind}&offset={offset}",
            content=page,
            content_type="application/octet-stream",
        )
        return int(answer.json()["size"])

    async def request_human(self, session_id: str, asked: HumanAsked) -> HumanView:
        """Have a human dialled into the room; asking again with the same id is harmless."""
        answer = await self._send(
            "POST",
            f"/internal/sessions/{session_id}/humans",
            content=msgspec.json.encode(asked),
        )
        return msgspec.json.decode(answer.content, type=HumanView)

    async def follow_human(self, session_id: str, leg_id: str) -> HumanView:
        """Return how far it is, within some seconds, sooner once that is final."""
        path = f"/internal/sessions/{session_id}/humans/{leg_id}?wait={FOLLOW_S}"
        answer = await self._send("GET", path)
        return msgspec.json.decode(answer.content, type=HumanView)

    async def note_human(self, session_id: str, leg_id: str, said: HumanSaid) -> HumanView:
        """Have it kept what they said who was asked first; again is harmless."""
        path = f"/internal/sessions/{session_id}/humans/{leg_id}/said"
        answer = await self._send("POST", path, content=msgspec.json.encode(said))
        return msgspec.json.decode(answer.content, type=HumanView)

    async def report_restart(self, reason: Worn) -> None:
        """Have it counted that this worker begins anew; the token is that of workers."""
        content = msgspec.json.encode({"reason": reason.value})
        await self._send("POST", "/internal/workers/restarts", content=content)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> httpx.Response:
        try:
            answer = await self._http.request(
                method, path, content=content, headers={"Content-Type": content_type}
            )
        except httpx.TransportError as exc:
            raise Unreachable(type(exc).__name__) from exc
        if answer.status_code < 400:
            return answer
        said = f"{path.partition('?')[0]} answered {answer.status_code} {_reason(answer)}".strip()
        if answer.status_code >= 500 or answer.status_code == 429:
            raise Unreachable(said)
        raise Taken(said) if _reason(answer) == TokenUsed.code else Refused(said)


class _Problem(msgspec.Struct):
    """Of a problem document, what says why without citing anything."""

    code: str = ""


_PROBLEM = msgspec.json.Decoder(_Problem)


def _reason(answer: httpx.Response) -> str:
    try:
        return _PROBLEM.decode(answer.content).code
    except msgspec.DecodeError:  # not the control plane's own words
        return ""
