"""What an assistant is told: the settings that change what is heard or done on a call.

Each is declared once, with all that is to be known of it: docs/how-to/extend.md. Requests, answers,
the sealing of secrets, the check of variables and the reference pages follow from that. Source of
the fields: the Revox call-order contract.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.calling_times import check as check_times
from control_plane.domain.credentials import read_webhook_url
from control_plane.domain.declared import Asked, Secret, Support, Template, between, up_to
from control_plane.domain.flow import PromptFlow
from control_plane.domain.outcome import Outcome
from control_plane.domain.phone import e164
from control_plane.domain.providers import GivenVoice, LlmModel, Stt, TextModel, Voice
from control_plane.domain.tools import CustomTool, DataField, check_fields, check_tools
from control_plane.domain.transfer_targets import TransferTarget, check_targets, in_order
from control_plane.domain.urls import check_email

TELEPHONE_DELAY_MS = 400
"""`first_sentence_delay_ms` of a call whose assistant says nothing of it: so long a telephone takes
to get to the ear."""


class Language(StrEnum):
    """What is spoken on a call (BCP 47)."""

    EN_US = "en-US"
    EN_GB = "en-GB"
    ES_MX = "es-MX"
    ES_ES = "es-ES"
    PT_PT = "pt-PT"
    DE_DE = "de-DE"
    FR_FR = "fr-FR"
    PL_PL = "pl-PL"
    RO_RO = "ro-RO"
    IT_IT = "it-IT"

    @property
    def base(self) -> str:
        """`en-US` → `en`: what the providers take."""
        return self.value.partition("-")[0]


class TurnTaking(StrEnum):
    """How soon the agent takes its turn, and how easily it gives it up."""

    FAST = "fast"
    BALANCED = "balanced"
    PATIENT = "patient"


class FirstSentenceMode(StrEnum):
    """How the first sentence comes about."""

    GENERATED = "generated"  # the model speaks first, led by `first_sentence`
    STATIC = "static"  # `first_sentence` is spoken exactly as given
    NONE = "none"  # the agent waits for the person


class FaqSource(StrEnum):
    """Who put a question there."""

    HUMAN = "human"
    AI = "ai"


class FaqItem(Struct, frozen=True):
    """A question callers ask and the answer to give.

    `id` stays while the question stays as it is; `needs_human_answer`: asked on a call, and
    nobody has answered it yet.
    """

    question: Annotated[str, Template()]
    answer: Annotated[str, Template()]
    id: str | None = None
    needs_human_answer: bool = False
    source: FaqSource = FaqSource.HUMAN


class FaqEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A question callers ask and the answer to give."""

    question: Annotated[str, Meta(max_length=2_000)]
    answer: Annotated[str, Meta(max_length=5_000)]


class ThinkingSound(StrEnum):
    """A clip to play while the model thinks."""

    CITY = "city-ambience.ogg"
    FOREST = "forest-ambience.ogg"
    OFFICE = "office-ambience.ogg"
    CROWD = "crowded-room.ogg"
    TYPING = "keyboard-typing.ogg"
    MORE_TYPING = "keyboard-typing2.ogg"
    HOLD_MUSIC = "hold_music.ogg"


class TransferMode(StrEnum):
    """How a person takes over: the agent introduces them, or the call is passed on."""

    WARM = "warm"
    COLD = "cold"


class TransferCallerId(StrEnum):
    """Whose number a human sees who is called in."""

    OURS = "ours"
    PERSON = "person"  # ours where they withhold theirs, or come by a browser


class Calendly(Struct, frozen=True, forbid_unknown_fields=True):
    """The connection to book through, and the kind of meeting to book."""

    connection_id: Annotated[str, Meta(max_length=200)]
    event_type_id: Annotated[str, Meta(max_length=2_000)]


BackgroundSound = Literal["audio/office.ogg"]


OF_THE_CALL = frozenset(["transcript"])
"""What `structured_output_prompt` may name besides: known once the call is over."""

_HEARD, _THOUGHT, _VOICED = (
    Support(f"speech.tables.make_{kind}") for kind in ("stt", "llm", "tts")
)
_SHOWN = Support("control_plane.assistants.views.view_of_spec")
_OPENING, _SOUNDS = Support("agent.first_sentence.prepare"), Support("agent.audio.sounds.Sounds")
_TEXTS, _SPEAKING = Support("agent.prompt.Texts"), Support("agent.call.Call")
_LIMIT, _RECORDER = (
    Support("agent.limits.enforce_max_duration"),
    Support("agent.audio.recording.StereoRecorder"),
)
_TOOLS = Support("agent.tools.table.offered")
_TRANSFER = Support("agent.transferring.Transferring")
_NOT_YET = Support(None)

_Share = Annotated[float, Asked(Meta(ge=0, le=1))]
_Sentence = Annotated[str | None, up_to(5_000), Template()]
_Instructions = Annotated[str | None, up_to(100_000), Template()]
_Number = Annotated[str | None, Asked(Meta(max_length=100), read=e164, empty_is_none=True)]
_Url = Annotated[
    str | None,
    Asked(Meta(max_length=2_000), read=read_webhook_url, empty_is_none=True),
    Secret(is_url=True),
]


class AssistantSpec(Struct, frozen=True, kw_only=True):
    """One version of an assistant, complete: what an order keeps and what the agent receives.

    `llm_model` null leaves the choice to the keys that are there (`in_force`); for the agent it is
    the embedded dialogue, as `voice` null is the embedded voice. The fallbacks of each step in
    when it fails, in their order.
    """

    name: Annotated[str, Asked(Meta(min_length=1, max_length=200)), _SHOWN]
    """Shown to you, never spoken; an order's own assistant is `Assistant` without one."""
    prompt: Annotated[str, up_to(100_000), Template(), _TEXTS]
    """What the agent is and knows; the embedded dialogue takes facts from its lists."""
    prompt_flow: Annotated[PromptFlow | None, _SHOWN] = None
    """The drawing behind the prompt, kept for its editor; only `prompt` is executed."""
    language: Annotated[Language, _HEARD] = Language.EN_US
    """What is heard, thought and spoken; the embedded model, voice and STT know English only."""
    turn_taking: Annotated[TurnTaking, Support("agent.turn_taking.turn_handling")] = (
        TurnTaking.BALANCED
    )
    """How soon the agent answers and how easily it gives way."""
    first_sentence: Annotated[_Sentence, _OPENING] = None
    """Spoken as it is (`static`) or as a lead for the model (`generated`)."""
    first_sentence_mode: Annotated[FirstSentenceMode, _OPENING] = FirstSentenceMode.GENERATED
    """`none`: the agent waits for the person; `static` needs `first_sentence`."""
    first_sentence_delay_ms: Annotated[int | None, between(0, 9_007_199_254_740_991), _SPEAKING] = (
        None
    )
    """Silence before the first sentence; none is 400 on a telephone and 0 in a browser."""
    end_of_call_sentence: Annotated[_Sentence, _SPEAKING] = None
    """Spoken before the agent hangs up."""
    max_call_duration_secs: Annotated[int, between(10, 86_400), _LIMIT] = 600
    """BYE at that age of the call."""
    max_duration_end_message: Annotated[str | None, up_to(150), Template(), _LIMIT] = None
    """Spoken, without interruption, so that it ends by the limit."""
    silence_timeout_secs: Annotated[int, between(5, 600), Support("agent.limits.SilenceWatch")] = 30
    """Nobody spoke for that long: the call ends with `silence`."""
    faq_items: Annotated[tuple[FaqItem, ...], up_to(500, tuple[FaqEntry, ...]), _TEXTS] = ()
    """Questions and the answers to give; the list replaces the one before."""
    llm_model: Annotated[LlmModel | None, _THOUGHT] = None
    """The brain; none: gpt-4.1 with a key for `openai`, else the embedded dialogue."""
    voice: Annotated[Voice | None, Asked(kind=GivenVoice), _VOICED] = None
    """The voice; none: the embedded one."""
    stt: Annotated[Stt, _HEARD] = msgspec.field(default_factory=Stt)
    """The speech recogniser; `model` null is the provider's own default."""
    llm_fallbacks: Annotated[tuple[TextModel, ...], up_to(3), _THOUGHT] = ()
    """Step in, in their order, when the model fails; not for a realtime model."""
    voice_fallbacks: Annotated[tuple[Voice, ...], up_to(3, tuple[GivenVoice, ...]), _VOICED] = ()
    """The same for the voice."""
    stt_fallbacks: Annotated[tuple[Stt, ...], up_to(3), _HEARD] = ()
    """The same for the recogniser."""
    recording_enabled: Annotated[bool, _RECORDER] = True
    """A stereo file of the call, caller left, agent right."""
    recording_full_mix: Annotated[bool, _RECORDER] = False
    """A second file: everything that both heard, on one channel; `recording_mix_url`."""
    recording_retention_days: Annotated[
        int | None, between(1, 3_650), Support("control_plane.recordings.retention.expires_at")
    ] = None
    """Days after the call that its recording is kept; none: `OFFHOOK_RECORDING_DAYS`."""
    background_sound: Annotated[BackgroundSound | None, _SOUNDS] = None
    """Played from the answer to the end, under the agent's words too."""
    background_sound_volume: Annotated[_Share, _SOUNDS] = 0.8
    """0 is silent."""
    thinking_sound: Annotated[ThinkingSound | None, _SOUNDS] = None
    """Played while the agent thinks, until it or the caller speaks."""
    thinking_sound_probability: Annotated[_Share, _SOUNDS] = 1.0
    """How often a turn gets the sound; one draw per turn."""
    thinking_sound_volume: Annotated[_Share, _SOUNDS] = 0.8
    """0 is silent."""
    call_retry_config: Annotated[
        CallRetryConfig, Asked(check=check_times), Support("control_plane.domain.gate.gate")
    ] = msgspec.field(default_factory=CallRetryConfig)
    """When calls may begin and how often an order is tried."""
    from_phone_number: Annotated[_Number, Support("control_plane.orders.placing.OrderBuilder")] = (
        None
    )
    """The number that calls show, one of the organization's; none: its default one."""
    webhook_url: Annotated[_Url, Support("control_plane.webhooks.outbox.relay")] = None
    """Gets `{"call": …}` when an order is over; sealed, and shown whole to `admin` alone."""
    voicemail_message: Annotated[_Sentence, Support("agent.answering.watch.AnswerWatch")] = None
    """Spoken to a voicemail before hanging up; none: hang up at once."""
    voicemail_sms_prompt: Annotated[_Instructions, _NOT_YET] = None
    """Instructions for the SMS after a voicemail; none: no SMS."""
    ivr_navigation_enabled: Annotated[bool, _TOOLS] = False
    """The agent may press keys and skip turns in a phone menu."""
    transfer_phone_number: Annotated[_Number, _TRANSFER] = None
    """The person that calls are transferred to."""
    transfer_targets: Annotated[
        tuple[TransferTarget, ...], up_to(20, check=check_targets), _TRANSFER
    ] = ()
    """Whom calls are passed on to next, in this order: after `transfer_phone_number`, or alone."""
    human_transfer_mode: Annotated[TransferMode | None, _TRANSFER] = None
    """The agent introduces the person, or passes the call on; needs a number to pass it on to."""
    transfer_caller_id: Annotated[TransferCallerId, Support("scheduler.human_line.find")] = (
        TransferCallerId.OURS
    )
    """The number that a human sees who is called in; carriers may refuse one that is not yours."""
    warm_transfer_summary_instructions: Annotated[
        _Instructions, Support("agent.warm.summary.Summary")
    ] = None
    """What the human is told of the person before a warm transfer; none: who, what for, so far."""
    custom_tools: Annotated[tuple[CustomTool, ...], up_to(64, check=check_tools), _NOT_YET] = ()
    """HTTP requests that the model may make."""
    calendly: Annotated[Calendly | None, _NOT_YET] = None
    """Where meetings are booked."""
    sms_enabled: Annotated[bool, _NOT_YET] = False
    """The agent may send an SMS during the call."""
    sms_template: Annotated[_Sentence, _NOT_YET] = None
    """The text of that SMS; none: the model writes it."""
    after_call_sms_prompt: Annotated[_Instructions, _NOT_YET] = None
    """Instructions for the SMS after the call; none: no SMS."""
    email_notification_address: Annotated[str | None, up_to(254, check=check_email), _NOT_YET] = (
        None
    )
    """The e-mail address that is told of calls with one of the outcomes."""
    email_notification_outcomes: Annotated[tuple[Outcome, ...], up_to(100), _NOT_YET] = ()
    """The outcomes to tell of."""
    structured_output_config: Annotated[
        tuple[DataField, ...], up_to(100, check=check_fields), _NOT_YET
    ] = ()
    """What is read from the transcript after the call."""
    structured_output_prompt: Annotated[
        str | None, up_to(100_000), Template(OF_THE_CALL), _NOT_YET
    ] = None
    """Instructions for that; none: a prompt of our own."""


def humans_of(spec: AssistantSpec) -> list[TransferTarget]:
    """Return whom calls are passed on to, in order; `transfer_phone_number` is the first."""
    return in_order(spec.transfer_phone_number, spec.transfer_targets)
