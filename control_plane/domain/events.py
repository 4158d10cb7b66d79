"""What the agent reports of a session, in the past tense; numbered from 1 per session.

The stream is also the call's lease: it says ready, alive, done.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from control_plane.domain.usage import ProviderUsage


class EndedBy(StrEnum):
    """Who ended the call."""

    AGENT = "agent"
    USER = "user"
    SYSTEM = "system"


class EndReason(StrEnum):
    """Why the call ended, when it was not the person hanging up."""

    TOOL_END_CALL = "tool_end_call"
    MAX_DURATION = "max_duration"
    SILENCE = "silence"
    PROVIDER_FAILED = "provider_failed"
    AGENT_LOST = "agent_lost"
    SIP_SERVICE_LOST = "sip_service_lost"
    TRANSFER = "transfer"
    CANCELLED = "cancelled"
    NOT_ANSWERED = "not_answered"
    CONNECTION_LOST = "connection_lost"
    VOICEMAIL = "voicemail"
    IVR_NO_NAVIGATE = "ivr_no_navigate"  # a menu, in which the assistant may press no key
    UNREACHABLE = "unreachable"  # the network spoke, or a fax whistled, in place of anybody


class AttemptResult(StrEnum):
    """What answered."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    IVR = "IVR"
    IOS_SCREENING_FILTER = "ios-screening-filter"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """Whose words a transcript item holds."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class SoundWay(StrEnum):
    """Which way a call's sound takes between the phone's gateway and the agent."""

    ROOM = "room"
    SHORT = "short"


class _Event(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    seq: int  # 1, 2, 3 … per session; a repeated number is the same event
    at: float  # seconds since the epoch, UTC, by the agent's clock


class AgentReady(_Event, frozen=True, kw_only=True, tag="agent_ready"):
    """The agent is in the room with its voice and recogniser loaded; the call may be dialled."""


class AgentAlive(_Event, frozen=True, kw_only=True, tag="agent_alive"):
    """Nothing happened; the lease is renewed."""


class CallAnswered(_Event, frozen=True, kw_only=True, tag="call_answered"):
    """The person's side became active."""

    sip_call_id: str = ""


class AnswerDetected(_Event, frozen=True, kw_only=True, tag="answer_detected"):
    """Who answered is known, or known better; the latest counts.

    Attributes:
        engine: what decided: `words`, `tones` or `timing`.
        evidence: the phrase, the tone or the seconds that did.
        after_s: seconds from the answer until it was known.
    """

    result: AttemptResult
    engine: str
    evidence: str
    after_s: float


class SoundRouted(_Event, frozen=True, kw_only=True, tag="sound_routed"):
    """The call's sound takes this way from now on; `reason` says why when it took another."""

    way: SoundWay
    reason: str = ""


class ItemSaid(_Event, frozen=True, kw_only=True, tag="item_said"):
    """One transcript item: what the person or the agent said, or a tool that ran.

    Attributes:
        content: the words; for a tool, empty.
        interrupted: the agent was cut short; `content` is what was heard.
        delays_ms: milliseconds of this turn by part, such as `end_of_turn`, `llm_first_token`,
            `tts_first_byte`, `first_sound`.
    """

    role: Role
    content: str
    interrupted: bool = False
    tool_name: str | None = None
    tool_arguments: str | None = None
    tool_output: str | None = None
    tool_is_error: bool | None = None
    delays_ms: dict[str, float] = msgspec.field(default_factory=dict)


class KeyPressed(_Event, frozen=True, kw_only=True, tag="key_pressed"):
    """The person pressed a key (RFC 4733) at `at`; of a secret one `digit` is empty.

    `participant` is whose it was, by the identity in the room.
    """

    digit: str
    is_secret: bool = False
    participant: str = ""


class KeysSent(_Event, frozen=True, kw_only=True, tag="keys_sent"):
    """The agent begins to press these keys (RFC 4733); `w` is a pause of half a second."""

    keys: str


class HoldBegan(_Event, frozen=True, kw_only=True, tag="hold_began"):
    """The person's telephone holds the call: nobody hears anybody."""


class HoldEnded(_Event, frozen=True, kw_only=True, tag="hold_ended"):
    """The person is back from a hold."""


class TransferBegan(_Event, frozen=True, kw_only=True, tag="transfer_began"):
    """The person is being passed on to `to_phone_number`, for the model's `reason`."""

    to_phone_number: str
    reason: str


class TransferFailed(_Event, frozen=True, kw_only=True, tag="transfer_failed"):
    """They were not, and are still on the line, unless they hung up.

    Attributes:
        why: of a REFER `refused`, `unanswered` or `hung_up`; else what came of calling the human
            (`human_leg.HumanResult`).
        sip_status: the status that says so, where one does.
    """

    to_phone_number: str
    why: str
    sip_status: int | None = None
    detail: str = ""


class CallTransferred(_Event, frozen=True, kw_only=True, tag="call_transferred"):
    """They were: somebody at `to_phone_number` has answered them."""

    to_phone_number: str
    reason: str


class AgentLeft(_Event, frozen=True, kw_only=True, tag="agent_left"):
    """Nobody came for so long that the agent has left; the session stays open without one."""


class HandedOver(_Event, frozen=True, kw_only=True, tag="handed_over"):
    """The agent has left; the person and the human talk on without it.

    `result` is what had answered.
    """

    result: AttemptResult


class RecordingFinished(_Event, frozen=True, kw_only=True, tag="recording_finished"):
    """The last page of the recording was sent; `mix_sha256` null: there is no full mix."""

    size_bytes: int
    duration_ms: int
    sha256: str
    mix_sha256: str | None = None


class UsageCounted(_Event, frozen=True, kw_only=True, tag="usage_counted"):
    """What the call has used of its providers so far; a later one takes an earlier one's place."""

    parts: list[ProviderUsage]


class CallEnded(_Event, frozen=True, kw_only=True, tag="call_ended"):
    """The conversation is over; nothing but the recording, and usage told late, follows.

    `end_reason` is null when the person hung up.
    """

    ended_by: EndedBy
    end_reason: EndReason | None
    result: AttemptResult
    detail: str = ""


CallEvent = (
    AgentReady
    | AgentAlive
    | CallAnswered
    | AnswerDetected
    | SoundRouted
    | ItemSaid
    | KeyPressed
    | AgentLeft
    | KeysSent
    | HoldBegan
    | HoldEnded
    | TransferBegan
    | TransferFailed
    | CallTransferred
    | HandedOver
    | RecordingFinished
    | UsageCounted
    | CallEnded
)


class EventBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events in order, fenced by the attempt's epoch."""

    epoch: int
    events: list[CallEvent]


class EventReceipt(Struct, frozen=True):
    """How far the session's stream is stored: every event up to `through` is safe."""

    through: int
