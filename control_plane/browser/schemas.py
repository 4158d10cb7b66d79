"""What clients say and see of browser sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from control_plane.assistants.schemas import AssistantView, InlineAssistant
from control_plane.domain.browser import SessionStatus
from control_plane.domain.events import AttemptResult, EndedBy
from control_plane.domain.prices import Cost
from control_plane.domain.recording import RecordingState
from control_plane.domain.usage import ProviderUsage
from control_plane.orders.schemas import Key, TranscriptItem, TransferView, Value


class StartSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation in a browser; without an assistant, the organization's default one speaks.

    `assistant_id` wins over `assistant`. `max_duration_secs` and `recording` stand for what the
    assistant says. `webhook_url` is told each of the session's events. With `scheduled_at`, the
    room opens and the token is valid from then on.
    """

    assistant_id: Annotated[str, Meta(max_length=36)] | None = None
    assistant: InlineAssistant | None = None
    prompt_variables: Annotated[dict[Key, Value], Meta(max_length=500)] | None = None
    metadata: Annotated[dict[Key, Value], Meta(max_length=100)] | None = None
    max_duration_secs: Annotated[int, Meta(ge=10, le=86_400)] | None = None
    recording: bool | None = None
    webhook_url: Annotated[str, Meta(max_length=2_000)] | None = None
    scheduled_at: Annotated[datetime, Meta(tz=True)] | None = None


class SessionView(Struct, frozen=True, kw_only=True):
    """A browser session and how far it got.

    Its token lets the person in until `token_expires_at`. The person and the agent could hear each
    other from `started_at` on. `end_reason` is null when the person left, else it says why, and
    `detail` what to do; `transfer` says which human they talked to after the agent. The rest is as
    in an attempt of a call. Of `webhook_url` all but its host is masked.
    """

    id: str
    organization_id: str
    status: SessionStatus
    assistant: AssistantView
    prompt_variables: dict[str, str]
    metadata: dict[str, str]
    max_duration_secs: int
    recording: bool
    webhook_url: str | None
    scheduled_at: datetime | None
    created_at: datetime
    updated_at: datetime
    token_expires_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    ended_by: EndedBy | None
    end_reason: str | None
    detail: str | None
    result: AttemptResult | None
    transfer: TransferView | None
    usage: list[ProviderUsage] | None
    cost: Cost | None
    recording_url: str | None
    recording_mix_url: str | None
    recording_state: RecordingState
    recording_intact: bool | None
    recording_expires_at: datetime | None
    transcript: list[TranscriptItem]
    not_yet_supported: list[str]


class SessionEnvelope(Struct, frozen=True):
    """One browser session."""

    session: SessionView


class StartedSession(Struct, frozen=True, kw_only=True):
    """A new session, and what a LiveKit client joins it with.

    The token is shown here alone. It lets one person into one room: whoever joins with it again
    takes the place of who joined before. `notices` say what the session's owner should know.
    """

    session: SessionView
    token: str
    livekit_url: str
    notices: list[str]


class SessionPage(Struct, frozen=True):
    """Browser sessions, newest first; `next_cursor` is null on the last page."""

    sessions: list[SessionView]
    next_cursor: str | None


class Transcript(Struct, frozen=True):
    """What was said in a session so far, in order."""

    transcript: list[TranscriptItem]
