"""What clients say and see of an assistant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.domain.assistant import (
    AssistantSpec,
    BackgroundSound,
    Calendly,
    Ears,
    FaqItem,
    FirstSentenceMode,
    Language,
    LlmModel,
    Provider,
    TextModel,
    ThinkingSound,
    TransferMode,
    TurnTaking,
    Voice,
)
from control_plane.domain.assistant_rules import check
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.flow import PromptFlow
from control_plane.domain.outcome import Outcome
from control_plane.domain.phone import e164
from control_plane.domain.tools import CustomTool, DataField

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Prompt = Annotated[str, Meta(max_length=100_000)]
Instructions = Annotated[str, Meta(max_length=100_000)]
Sentence = Annotated[str, Meta(max_length=5_000)]
Number = Annotated[str, Meta(max_length=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]


class FaqEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A question callers ask and the answer to give."""

    question: Annotated[str, Meta(max_length=2_000)]
    answer: Annotated[str, Meta(max_length=5_000)]


class GivenVoice(Struct, frozen=True, forbid_unknown_fields=True):
    """A cloud voice. Speed range: Cartesia 0.6–1.5, ElevenLabs 0.7–1.2; volume is Cartesia's."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    provider: Literal["cartesia", "elevenlabs"]
    speed: Annotated[float, Meta(ge=0.6, le=1.5)] | None = None
    volume: Annotated[float, Meta(ge=0.5, le=2.0)] | None = None


class AssistantFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of an assistant; null stands for the default, absent leaves it as it is."""

    name: Name | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    prompt_flow: PromptFlow | None | UnsetType = UNSET
    language: Language | None | UnsetType = UNSET
    turn_taking: TurnTaking | None | UnsetType = UNSET
    first_sentence: Sentence | None | UnsetType = UNSET
    first_sentence_mode: FirstSentenceMode | None | UnsetType = UNSET
    first_sentence_delay_ms: Milliseconds | None | UnsetType = UNSET
    end_of_call_sentence: Sentence | None | UnsetType = UNSET
    max_call_duration_secs: Annotated[int, Meta(ge=10, le=86_400)] | None | UnsetType = UNSET
    max_duration_end_message: Annotated[str, Meta(max_length=150)] | None | UnsetType = UNSET
    silence_timeout_secs: Annotated[int, Meta(ge=5, le=600)] | None | UnsetType = UNSET
    faq_items: Annotated[list[FaqEntry], Meta(max_length=500)] | None | UnsetType = UNSET
    llm_model: LlmModel | None | UnsetType = UNSET
    voice: GivenVoice | None | UnsetType = UNSET
    ears: Ears | None | UnsetType = UNSET
    llm_fallbacks: Annotated[list[TextModel], Meta(max_length=3)] | None | UnsetType = UNSET
    voice_fallbacks: Annotated[list[GivenVoice], Meta(max_length=3)] | None | UnsetType = UNSET
    ears_fallbacks: Annotated[list[Ears], Meta(max_length=3)] | None | UnsetType = UNSET
    recording_enabled: bool | None | UnsetType = UNSET
    recording_full_mix: bool | None | UnsetType = UNSET
    recording_retention_days: Annotated[int, Meta(ge=1, le=3_650)] | None | UnsetType = UNSET
    background_sound: BackgroundSound | None | UnsetType = UNSET
    background_sound_volume: Share | None | UnsetType = UNSET
    thinking_sound: ThinkingSound | None | UnsetType = UNSET
    thinking_sound_probability: Share | None | UnsetType = UNSET
    thinking_sound_volume: Share | None | UnsetType = UNSET
    call_retry_config: CallRetryConfig | None | UnsetType = UNSET
    from_phone_number: Number | None | UnsetType = UNSET
    webhook_url: Annotated[str, Meta(max_length=2_000)] | None | UnsetType = UNSET
    voicemail_message: Sentence | None | UnsetType = UNSET
    voicemail_sms_prompt: Instructions | None | UnsetType = UNSET
    ivr_navigation_enabled: bool | None | UnsetType = UNSET
    transfer_phone_number: Number | None | UnsetType = UNSET
    human_transfer_mode: TransferMode | None | UnsetType = UNSET
    warm_transfer_summary_instructions: Instructions | None | UnsetType = UNSET
    custom_tools: Annotated[list[CustomTool], Meta(max_length=64)] | None | UnsetType = UNSET
    calendly: Calendly | None | UnsetType = UNSET
    sms_enabled: bool | None | UnsetType = UNSET
    sms_template: Sentence | None | UnsetType = UNSET
    after_call_sms_prompt: Instructions | None | UnsetType = UNSET
    email_notification_address: Annotated[str, Meta(max_length=254)] | None | UnsetType = UNSET
    email_notification_outcomes: (
        Annotated[list[Outcome], Meta(max_length=100)] | None | UnsetType
    ) = UNSET
    structured_output_config: (
        Annotated[list[DataField], Meta(max_length=100)] | None | UnsetType
    ) = UNSET
    structured_output_prompt: Instructions | None | UnsetType = UNSET


class AssistantCreate(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new assistant."""

    name: Name
    prompt: Prompt
    is_default: bool = False


class InlineAssistant(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An assistant that lives in one order only."""

    name: Name = "Assistant"
    prompt: Prompt


class AssistantPatch(AssistantFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to an assistant; what is absent stays."""

    is_default: bool | UnsetType = UNSET


class AssistantView(Struct, frozen=True, kw_only=True):
    """An assistant as clients see it, secrets masked.

    `needs_keys` names the providers without whose key it cannot speak, `not_yet_acted_on` the
    settings that are kept while the code behind them does not exist yet.
    """

    id: str | None
    organization_id: str
    name: str
    version: int
    is_default: bool
    created_at: datetime
    updated_at: datetime
    prompt: str
    prompt_flow: PromptFlow | None
    language: Language
    turn_taking: TurnTaking
    first_sentence: str | None
    first_sentence_mode: FirstSentenceMode
    first_sentence_delay_ms: int
    end_of_call_sentence: str | None
    max_call_duration_secs: int
    max_duration_end_message: str | None
    silence_timeout_secs: int
    faq_items: tuple[FaqItem, ...]
    pending_faq_count: int
    llm_model: LlmModel | None
    voice: Voice | None
    ears: Ears
    llm_fallbacks: tuple[TextModel, ...]
    voice_fallbacks: tuple[Voice, ...]
    ears_fallbacks: tuple[Ears, ...]
    recording_enabled: bool
    recording_full_mix: bool
    recording_retention_days: int | None
    background_sound: BackgroundSound | None
    background_sound_volume: float
    thinking_sound: ThinkingSound | None
    thinking_sound_probability: float
    thinking_sound_volume: float
    call_retry_config: CallRetryConfig
    from_phone_number: str | None
    webhook_url: str | None
    voicemail_message: str | None
    voicemail_sms_prompt: str | None
    ivr_navigation_enabled: bool
    transfer_phone_number: str | None
    human_transfer_mode: TransferMode | None
    warm_transfer_summary_instructions: str | None
    custom_tools: tuple[CustomTool, ...]
    calendly: Calendly | None
    sms_enabled: bool
    sms_template: str | None
    after_call_sms_prompt: str | None
    email_notification_address: str | None
    email_notification_outcomes: tuple[Outcome, ...]
    structured_output_config: tuple[DataField, ...]
    structured_output_prompt: str | None
    needs_keys: list[Provider]
    not_yet_acted_on: list[str]


class AssistantNow(AssistantView, frozen=True, kw_only=True):
    """An assistant as it would answer now.

    `llm_model_in_force` is `llm_model`; where that is null, gpt-4.1 while there is a key for
    `openai`, else the embedded one.
    """

    llm_model_in_force: LlmModel


class AssistantEnvelope(Struct, frozen=True):
    """One assistant."""

    assistant: AssistantNow


class AssistantList(Struct, frozen=True):
    """Every assistant of the organization, newest first."""

    assistants: list[AssistantNow]


_PHONE_NUMBERS = ("from_phone_number", "transfer_phone_number")
_NONE_WHEN_EMPTY = frozenset({*_PHONE_NUMBERS, "webhook_url"})


def merge(fields: AssistantFields, onto: AssistantSpec | None = None) -> AssistantSpec:
    """Return `onto` with `fields` applied, checked as a whole.

    Raises:
        BadInput: a setting cannot be used, or two contradict each other; names the field.
    """
    within = "assistant." if isinstance(fields, InlineAssistant) else ""
    values: dict[str, Any] = {} if onto is None else msgspec.structs.asdict(onto)
    for name in AssistantSpec.__struct_fields__:
        given = getattr(fields, name)
        if given is None or (given == "" and name in _NONE_WHEN_EMPTY):
            values.pop(name, None)
        elif given is not UNSET:
            values[name] = _stored(name, given, within)
    spec = AssistantSpec(**values)
    check(spec, within=within)
    return spec


def _stored(name: str, given: Any, within: str) -> Any:
    """Return what a client gave in the form that assistants keep."""
    if name == "faq_items":
        return tuple(FaqItem(entry.question, entry.answer) for entry in given)
    if name in _PHONE_NUMBERS:
        return e164(given, field=f"{within}{name}")
    if name == "voice_fallbacks":
        return tuple(_voice(each) for each in given)
    if isinstance(given, GivenVoice):
        return _voice(given)
    return tuple(given) if isinstance(given, list) else given


def _voice(given: GivenVoice) -> Voice:
    return Voice(
        given.id,
        given.provider,
        1.0 if given.speed is None else given.speed,
        1.0 if given.volume is None else given.volume,
    )
