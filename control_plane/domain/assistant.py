"""What an assistant is told: the settings that change what is heard or done on a call.

Source: the Revox call-order contract. Only fields that are acted on are here; the rest are refused
until the code behind them exists.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

DEFAULT_LANGUAGE = "en-US"


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
    CARTESIA = "cartesia"
    ELEVENLABS = "elevenlabs"


class FaqItem(Struct, frozen=True, forbid_unknown_fields=True):
    """A question callers ask and the answer to give."""

    question: Annotated[str, Meta(min_length=1, max_length=2_000)]
    answer: Annotated[str, Meta(min_length=1, max_length=5_000)]


class DedicatedModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="dedicated-instance"
):
    """A model that the installation maps to an OpenAI-compatible endpoint by its provider keys."""

    name: Literal["gpt-4.1", "ministral-3-8b-instruct"]


class OpenRouterModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="openrouter"
):
    """A model of OpenRouter, and the upstream provider that must serve it."""

    openrouter_model_id: Annotated[str, Meta(min_length=1, max_length=200)]
    openrouter_provider: Annotated[str, Meta(min_length=1, max_length=200)]


class CustomModel(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="custom"):
    """Any OpenAI-compatible chat completions endpoint, with its own key."""

    api_url: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^https?://\S+$")]
    model_name: Annotated[str, Meta(min_length=1, max_length=200)]
    api_key: Annotated[str, Meta(min_length=1, max_length=2_000)]


LlmModel = DedicatedModel | OpenRouterModel | CustomModel


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


class AssistantSpec(Struct, frozen=True, kw_only=True):
    """One version of an assistant, complete: what an order keeps and what the agent receives.

    `llm_model`, `voice` null mean the embedded offline dialogue and voice.
    """

    name: str
    prompt: str
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
    recording_enabled: bool = True
