"""What clients say and see of a call order, in the shape of the Revox contract."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from control_plane.assistants.schemas import AssistantView, InlineAssistant
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.dial_errors import DialError
from control_plane.domain.events import AttemptResult, EndedBy, Role
from control_plane.domain.outcome import Outcome
from control_plane.domain.prices import Cost
from control_plane.domain.providers import LlmModel
from control_plane.domain.recording import RecordingState
from control_plane.domain.usage import ProviderUsage

Value = Annotated[str, Meta(max_length=10_000)]
Key = Annotated[str, Meta(min_length=1, max_length=200)]


class Concurrency(Struct, frozen=True, forbid_unknown_fields=True):
    """At most `max` live calls among the orders that share `key`, judged by each order's own."""

    key: Annotated[str, Meta(max_length=200)]
    max: Annotated[int, Meta(ge=1, le=9_007_199_254_740_991)]


class PlaceCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order for a call; without an assistant, the organization's default one speaks.

    `assistant_id` wins over `assistant`, `call_retry_config` over that of the assistant.
    """

    phone_number: Annotated[str, Meta(max_length=100, examples=["+12025550123"])]
    assistant_id: Annotated[str, Meta(max_length=36)] | None = None
    assistant: InlineAssistant | None = None
    call_retry_config: CallRetryConfig | None = None
    concurrency: Concurrency | None = None
    force_now: bool | None = None
    scheduled_at: Annotated[datetime, Meta(tz=True)] | None = None
    from_phone_number: Annotated[str, Meta(max_length=100)] | None = None
    metadata: Annotated[dict[Key, Value], Meta(max_length=100)] | None = None
    prompt_variables: Annotated[dict[Key, Value], Meta(max_length=500)] | None = None


class CallDirection(StrEnum):
    """Who called whom; what began in a browser is no call."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class TranscriptItem(Struct, frozen=True, kw_only=True):
    """What somebody said, or a tool that ran."""

    role: Role
    content: str
    at: float
    interrupted: bool = False
    tool_name: str | None = None
    tool_arguments: dict[str, Any] | str | None = None
    tool_output: str | None = None
    tool_is_error: bool | None = None
    delays_ms: dict[str, float] = {}


class AnswerView(Struct, frozen=True, kw_only=True):
    """Who answered: `engine` (`words`, `tones`, `timing`, `model`) decided it by `evidence`.

    It was known `after_secs` after the answer.
    """

    result: AttemptResult
    engine: str
    evidence: str
    after_secs: float


class TransferView(Struct, frozen=True, kw_only=True):
    """A human whom the person was bridged to, and how long the two have talked without the agent.

    `is_recorded` says whether that talk is in the recording.
    """

    to_phone_number: str
    from_phone_number: str
    at: datetime
    talk_secs: float | None  # null while they talk
    is_recorded: bool = False


class AttemptView(Struct, frozen=True, kw_only=True):
    """One try to reach the number.

    It was set out on at `created_at`; the call began at `started_at`, with the INVITE (null: there
    was none). The URLs of recordings open them without a key, for a while; `recording_intact` says
    whether what is stored is what the agent sent (null: it could not say),
    `recording_expires_at` when it is deleted (null: not by itself).
    """

    id: str
    status: AttemptStatus
    phone_number: str
    from_phone_number: str
    created_at: datetime
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    dial_error: DialError | None
    sip_status: int | None
    sip_reason: str | None
    result: AttemptResult | None
    answer: AnswerView | None = None  # null: nobody answered, or was judged
    ended_by: EndedBy | None
    end_reason: str | None
    detail: str | None
    usage: list[ProviderUsage] | None = None  # null until the agent told it, and where it died
    cost: Cost | None = None
    counted: bool
    transfer: TransferView | None = None  # null: nobody was bridged to a human
    recording_url: str | None
    recording_mix_url: str | None
    recording_state: RecordingState
    recording_intact: bool | None = None
    recording_expires_at: datetime | None = None
    structured_output: dict[str, Any] | None = None
    transcript: list[TranscriptItem]


class CampaignName(Struct, frozen=True):
    """The campaign that an order belongs to."""

    id: str
    name: str


class CallView(Struct, frozen=True, kw_only=True):
    """A call order and how far it got.

    `waiting_for` names what holds it back (a rule, or the part that is missing), `next_at` the
    instant of the next try; `timezones` are those whose wall clocks the calling windows go by.
    `from_phone_number` is what the last attempt showed, before the first one what was asked for.
    `cost` is the sum of the attempts'; null while, or because, one of them cannot tell its own.
    """

    id: str
    organization_id: str
    status: OrderStatus
    direction: CallDirection
    to_phone_number: str
    from_phone_number: str | None
    assistant: AssistantView
    first_sentence_delay_ms: int
    llm_model: LlmModel | None
    call_retry_config: CallRetryConfig = msgspec.field(default_factory=CallRetryConfig)
    timezones: list[str] = []
    concurrency: Concurrency | None = None
    prompt_variables: dict[str, str]
    metadata: dict[str, str]
    force_now: bool
    scheduled_at: datetime | None
    waiting_for: str | None
    next_at: datetime | None
    paused: bool = False
    cancel_requested: bool
    calls_count: int
    call_attempts: list[AttemptView]
    last_call_attempt: AttemptView | None
    campaign: CampaignName | None = None
    cost: Cost | None = None
    outcome: Outcome | None = None
    outcome_summary: str | None = None
    is_cancelled: bool
    is_completed: bool
    not_yet_supported: list[str] = []
    notices: list[str] = []
    created_at: datetime
    updated_at: datetime


class CallEnvelope(Struct, frozen=True):
    """One call order."""

    call: CallView


class CallPage(Struct, frozen=True):
    """Call orders, newest first; `next_cursor` is null on the last page."""

    calls: list[CallView]
    next_cursor: str | None


class EventView(Struct, frozen=True, kw_only=True):
    """One entry of an order's history; `sequence` rises by one per order."""

    sequence: int
    type: str
    at: datetime
    attempt_id: str | None
    data: dict[str, Any]


class EventPage(Struct, frozen=True):
    """An order's history, oldest first."""

    events: list[EventView]
