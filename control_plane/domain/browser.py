"""A browser session: where it stands, until when its token opens it, when it needs an agent."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.events import EndReason
from control_plane.domain.waiting import Cause

TOKEN_LIFE = timedelta(minutes=10)
"""From the session's opening: how long its token lets the person in."""
LEEWAY = timedelta(minutes=1)
"""By so much LiveKit lets people in before and after the times of a token: clocks differ."""
ALONE_S = 30.0
"""How long an agent waits in the room for somebody to come."""
BACK_WITHIN_S = 20.0
"""How long somebody who lost the connection is waited for."""
ROOM_STAYS_S = 60
"""How long LiveKit keeps the room when nobody but an agent is in it: longer than either."""
ROOM_PREFIX = "web-"
FIRST_SENTENCE_DELAY_MS = 0
"""Of an assistant that says nothing of it: nobody has to get anything to their ear."""


class SessionStatus(StrEnum):
    """Where a browser session stands."""

    CREATED = "created"  # its room opens at once, or at `scheduled_at`
    WAITING = "waiting"  # its room is open; nobody has spoken in it yet
    IN_PROGRESS = "in_progress"  # the person and the agent can hear each other
    COMPLETED = "completed"  # they could, and it is over
    CANCELLED = "cancelled"  # ended by the API before that
    FAILED = "failed"  # over before that; `end_reason` and `detail` say why


OVER = frozenset({SessionStatus.COMPLETED, SessionStatus.CANCELLED, SessionStatus.FAILED})

_LIVE = {
    AttemptStatus.QUEUED: SessionStatus.CREATED,
    AttemptStatus.RINGING: SessionStatus.WAITING,
    AttemptStatus.ONGOING: SessionStatus.IN_PROGRESS,
    AttemptStatus.COMPLETED: SessionStatus.COMPLETED,
}


def status_of(status: AttemptStatus, end_reason: str | None) -> SessionStatus:
    """Return the status in the words of a browser session."""
    if status is AttemptStatus.ERROR:
        is_cancelled = end_reason == EndReason.CANCELLED
        return SessionStatus.CANCELLED if is_cancelled else SessionStatus.FAILED
    return _LIVE[status]


def room_name(session_id: str) -> str:
    """Return the LiveKit room of a browser session, the same every time it is asked for."""
    return f"{ROOM_PREFIX}{session_id}"


def participant_identity(session_id: str) -> str:
    """Return the identity that the person gets in that room."""
    return f"browser-{session_id}"


def in_browser(
    spec: AssistantSpec, *, max_duration_secs: int | None, is_recorded: bool | None
) -> AssistantSpec:
    """Return an assistant's settings as they hold for one browser session.

    Args:
        max_duration_secs, is_recorded: what the session says itself; null: as the assistant says.
    """
    if max_duration_secs is None:
        max_duration_secs = spec.max_call_duration_secs
    if is_recorded is None:
        is_recorded = spec.recording_enabled
    delay_ms = spec.first_sentence_delay_ms
    return msgspec.structs.replace(
        spec,
        max_call_duration_secs=max_duration_secs,
        recording_enabled=is_recorded,
        first_sentence_delay_ms=FIRST_SENTENCE_DELAY_MS if delay_ms is None else delay_ms,
    )


class Waiting(Struct, frozen=True, kw_only=True):
    """An open session in which nobody has spoken yet, and its room.

    Attributes:
        agent_reports: its lease has not lapsed.
        agent_reported: it had one.
        agent_left: nobody came, and it left by itself.
        person_there, agent_there: LiveKit shows them in the room.
        agent_unheard: nobody has taken its brief, some time after it was last sent for.
        agent_late: it was sent for longer ago than it may take to report.
        token_over: the token lets nobody in any more.
    """

    agent_reports: bool = False
    agent_reported: bool = False
    agent_left: bool = False
    agent_there: bool = False
    person_there: bool = False
    agent_unheard: bool = False
    agent_late: bool = False
    token_over: bool = False


class Stay(Struct, frozen=True):
    """Nothing is to be done."""


class SendAgent(Struct, frozen=True):
    """The session needs an agent, and has none."""


class AskAgain(Struct, frozen=True):
    """LiveKit may have found no worker for the session's agent."""


class GiveUp(Struct, frozen=True):
    """Nothing will come of the session."""

    reason: Cause


def judge(seen: Waiting) -> Stay | SendAgent | AskAgain | GiveUp:
    """Return what an open session needs; the first rule that fits."""
    if seen.agent_left:
        if seen.person_there:
            return SendAgent()
        return GiveUp(Cause.NOBODY_JOINED) if seen.token_over else Stay()
    if seen.agent_reports or (seen.agent_reported and seen.agent_there):
        return Stay()
    if seen.agent_reported:  # it died before anybody spoke
        return SendAgent()
    if seen.agent_late:
        return GiveUp(Cause.AGENT_NOT_READY)
    return AskAgain() if seen.agent_unheard else Stay()
