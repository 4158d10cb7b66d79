"""What the Voice API asks for and answers; unknown members are ignored."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from control_plane.domain.events import Role
from control_plane.domain.recording import RecordingState

EVENTS = (
    "call.initiating",
    "call.ringing",
    "call.in_progress",
    "call.completed",
    "call.failed",
    "call.no_answer",
)
"""What `webhook_url` is told by the document."""
CANCELLED = "call.cancelled"
"""What it is told besides: a session that was ended by the API has no other last event."""
MAX_DURATION_SECS = 600
_Number = Annotated[str, Meta(max_length=100)]


class Status(StrEnum):
    """Where a session stands; lists filter by the last three."""

    SCHEDULED = "scheduled"
    INITIATING = "initiating"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Dial(Struct, frozen=True, kw_only=True):
    """A call to place."""

    agent_id: Annotated[str, Meta(max_length=36)]
    to_number: _Number
    from_number: _Number
    context: dict[str, Any] | None = None
    max_duration: Annotated[int, Meta(ge=10, le=86_400)] | None = None
    recording: bool | None = None
    scheduled_at: datetime | None = None
    webhook_url: Annotated[str, Meta(max_length=2_000)] | None = None


class Start(Struct, frozen=True, kw_only=True):
    """A conversation in a browser to start."""

    agent_id: Annotated[str, Meta(max_length=36)]
    context: dict[str, Any] | None = None
    max_duration: Annotated[int, Meta(ge=10, le=86_400)] | None = None
    recording: bool | None = None


class Started(Struct, frozen=True):
    """A browser session, and what a LiveKit client joins it with; the token is shown here alone."""

    session_id: str
    token: str
    livekit_url: str


class SessionStatus(Struct, frozen=True):
    """How far a session got."""

    session_id: str
    status: Status


class SessionView(Struct, frozen=True, kw_only=True):
    """A session; `duration` in seconds, from the answer to the end; a browser has no numbers."""

    session_id: str
    agent_id: str | None
    status: Status
    direction: str
    from_number: str | None
    to_number: str | None
    context: dict[str, str]
    scheduled_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration: float | None
    end_reason: str | None
    recording_id: str | None


class SessionList(Struct, frozen=True, kw_only=True):
    """Sessions, newest first."""

    sessions: list[SessionView]
    limit: int
    offset: int


class Turn(Struct, frozen=True, kw_only=True):
    """What somebody said."""

    role: Role
    content: str
    timestamp: datetime


class Transcript(Struct, frozen=True, kw_only=True):
    """What was said so far."""

    session_id: str
    status: Status
    transcript: list[Turn]


class RecordingView(Struct, frozen=True, kw_only=True):
    """A recording; `url` opens it without a key for a while, null until it is stored."""

    recording_id: str
    session_id: str
    status: RecordingState
    url: str | None
    duration: float | None
    expires_at: datetime | None


class Problem(Struct, frozen=True):
    """What is wrong."""

    error: str
    detail: str
    field: str | None
