"""What an assistant is told: the settings that change what is heard or done on a call.

Source: the Revox call-order contract. `domain.acted_on` says which of them are acted on already.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.flow import PromptFlow
from control_plane.domain.outcome import Outcome
from control_plane.domain.tools import CustomTool, DataField


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


class Provider(StrEnum):
    """A service with a key of its own, set by `offhook provider set NAME`."""

    OPENAI = "openai"
    OPENROUTER = "openrouter"
    MISTRAL = "mistral"
    GOOGLE = "google"
    CARTESIA = "cartesia"
    ELEVENLABS = "elevenlabs"


class FaqSource(StrEnum):
    """Who put a question there."""

    HUMAN = "human"
    AI = "ai"


class FaqItem(Struct, frozen=True):
    """A question callers ask and the answer to give.

    `id` stays while the question stays as it is; `needs_human_answer`: asked on a call, and
    nobody has answered it yet.
    """

    question: str
    answer: str
    id: str | None = None
    needs_human_answer: bool = False
    source: FaqSource = FaqSource.HUMAN


class DedicatedModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="dedicated-instance"
):
    """A model that the installation maps to an OpenAI-compatible endpoint by its provider keys."""

    name: Literal["gpt-4.1", "ministral-3-8b-instruct"]


class OpenRouterModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="openrouter"
):
    """A model of OpenRouter, and the upstream provider that must serve it; empty: any."""

    openrouter_model_id: Annotated[str, Meta(max_length=200)]
    openrouter_provider: Annotated[str, Meta(max_length=200)]


class CustomModel(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="custom"):
    """Any OpenAI-compatible chat completions endpoint, with its own key."""

    api_url: Annotated[str, Meta(min_length=1, max_length=2_000)]
    model_name: Annotated[str, Meta(min_length=1, max_length=200)]
    api_key: Annotated[str, Meta(min_length=1, max_length=2_000)]


class RealtimeModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="realtime"
):
    """A model that hears and speaks by itself; the voice null is the provider's own default."""

    provider: Literal["openai", "google"]
    realtime_model_id: Annotated[str, Meta(max_length=200)]
    realtime_voice_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class EmbeddedModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="embedded"
):
    """The scripted dialogue that comes with the installation: no key, no cost, English only."""


TextModel = DedicatedModel | OpenRouterModel | CustomModel
LlmModel = TextModel | RealtimeModel | EmbeddedModel
DEDICATED = {"gpt-4.1": Provider.OPENAI, "ministral-3-8b-instruct": Provider.MISTRAL}
"""Who serves the models that are named alone."""
DEFAULT_MODEL = DedicatedModel("gpt-4.1")
"""What answers for an assistant that names no model, once there is a key for it."""


def provider_of(model: LlmModel) -> Provider | None:
    """Return whose key the model needs; None: it brings its own, or needs none."""
    match model:
        case DedicatedModel(name=name):
            return DEDICATED[name]
        case OpenRouterModel():
            return Provider.OPENROUTER
        case RealtimeModel(provider=provider):
            return Provider(provider)
        case CustomModel() | EmbeddedModel():
            return None


def in_force(model: LlmModel | None, keys: Collection[Provider]) -> LlmModel:
    """Return the model that answers: `model`, else the default one as far as `keys` reach."""
    if model is not None:
        return model
    return DEFAULT_MODEL if provider_of(DEFAULT_MODEL) in keys else EmbeddedModel()


class Voice(Struct, frozen=True, forbid_unknown_fields=True):
    """A cloud voice. Speed range: Cartesia 0.6–1.5, ElevenLabs 0.7–1.2; volume is Cartesia's."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    provider: Literal["cartesia", "elevenlabs"]
    speed: Annotated[float, Meta(ge=0.6, le=1.5)] = 1.0
    volume: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0


class Ears(Struct, frozen=True, forbid_unknown_fields=True):
    """The speech recogniser; `model` null means the provider's own default."""

    provider: Literal["offline", "openai", "elevenlabs", "cartesia"] = "offline"
    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


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


class Calendly(Struct, frozen=True, forbid_unknown_fields=True):
    """The connection to book through, and the kind of meeting to book."""

    connection_id: Annotated[str, Meta(max_length=200)]
    event_type_id: Annotated[str, Meta(max_length=2_000)]


BackgroundSound = Literal["audio/office.ogg"]


class AssistantSpec(Struct, frozen=True, kw_only=True):
    """One version of an assistant, complete: what an order keeps and what the agent receives.

    `llm_model` null leaves the choice to the keys that are there (`in_force`); for the agent it is
    the embedded dialogue, as `voice` null is the embedded voice. The fallbacks of each step in
    when it fails, in their order.
    """

    name: str
    prompt: str
    prompt_flow: PromptFlow | None = None
    language: Language = Language.EN_US
    turn_taking: TurnTaking = TurnTaking.BALANCED
    first_sentence: str | None = None
    first_sentence_mode: FirstSentenceMode = FirstSentenceMode.GENERATED
    first_sentence_delay_ms: int = 400
    end_of_call_sentence: str | None = None
    max_call_duration_secs: int = 600
    max_duration_end_message: str | None = None
    silence_timeout_secs: int = 30
    faq_items: tuple[FaqItem, ...] = ()
    llm_model: LlmModel | None = None
    voice: Voice | None = None
    ears: Ears = msgspec.field(default_factory=Ears)
    llm_fallbacks: tuple[TextModel, ...] = ()
    voice_fallbacks: tuple[Voice, ...] = ()
    ears_fallbacks: tuple[Ears, ...] = ()
    recording_enabled: bool = True
    recording_full_mix: bool = False
    recording_retention_days: int | None = None
    background_sound: BackgroundSound | None = None
    background_sound_volume: float = 0.8
    thinking_sound: ThinkingSound | None = None
    thinking_sound_probability: float = 1.0
    thinking_sound_volume: float = 0.8
    call_retry_config: CallRetryConfig = msgspec.field(default_factory=CallRetryConfig)
    from_phone_number: str | None = None
    webhook_url: str | None = None
    voicemail_message: str | None = None
    voicemail_sms_prompt: str | None = None
    ivr_navigation_enabled: bool = False
    transfer_phone_number: str | None = None
    human_transfer_mode: TransferMode | None = None
    warm_transfer_summary_instructions: str | None = None
    custom_tools: tuple[CustomTool, ...] = ()
    calendly: Calendly | None = None
    sms_enabled: bool = False
    sms_template: str | None = None
    after_call_sms_prompt: str | None = None
    email_notification_address: str | None = None
    email_notification_outcomes: tuple[Outcome, ...] = ()
    structured_output_config: tuple[DataField, ...] = ()
    structured_output_prompt: str | None = None
