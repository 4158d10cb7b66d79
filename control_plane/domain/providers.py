"""What cloud providers supply: models, voices, STT; and whose key each of them needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from control_plane.domain.declared import Secret


class Provider(StrEnum):
    """A service with a key of its own, set by `offhook provider set NAME`."""

    OPENAI = "openai"
    OPENROUTER = "openrouter"
    MISTRAL = "mistral"
    GOOGLE = "google"
    CARTESIA = "cartesia"
    ELEVENLABS = "elevenlabs"


class Voices(Struct, frozen=True):
    """How a provider lists its voices: the path, and the members of its answer.

    Attributes:
        language: of a voice; a member of a member where there are two.
        paged: it lists a hundred at a time, as Cartesia does.
    """

    path: str
    listed: str
    id: str
    language: tuple[str, ...]
    paged: bool = False


class Service(Struct, frozen=True):
    """How a provider is reached.

    Attributes:
        url: its own address; an `api_url` stands for it.
        asked: what only a good key gets an answer to; OpenRouter lists its models to anybody.
        tells: what the answer to a good key is.
        header, scheme: carry the key; `more` goes with it.
    """

    url: str
    asked: str
    tells: str
    header: str = "Authorization"
    scheme: str = "Bearer "
    more: Mapping[str, str] = {}
    voices: Voices | None = None
    speeds: tuple[float, float] = (0.6, 1.5)

    def headers(self, key: str) -> dict[str, str]:
        """Return what a request to it carries."""
        return {self.header: f"{self.scheme}{key}", **self.more}

    def base(self, api_url: str | None) -> str:
        """Return what paths are appended to; over HTTP where sockets go to `api_url`."""
        url = (api_url or self.url).rstrip("/")
        return f"http{url.removeprefix('ws')}" if url.startswith("ws") else url


SERVICES: Mapping[Provider, Service] = {
    Provider.OPENAI: Service("https://api.openai.com/v1", "/models", "listed its models"),
    Provider.MISTRAL: Service("https://api.mistral.ai/v1", "/models", "listed its models"),
    Provider.OPENROUTER: Service("https://openrouter.ai/api/v1", "/key", "knows the key"),
    Provider.GOOGLE: Service(
        "https://generativelanguage.googleapis.com",
        "/v1beta/models?pageSize=1",
        "listed its models",
        "x-goog-api-key",
        "",
    ),
    Provider.CARTESIA: Service(
        "https://api.cartesia.ai",
        "/voices/?limit=1",
        "listed its voices",
        "X-API-Key",
        "",
        {"Cartesia-Version": "2025-04-16"},
        Voices("/voices/", "data", "id", ("language",), paged=True),
    ),
    Provider.ELEVENLABS: Service(
        "https://api.elevenlabs.io/v1",
        "/voices",
        "listed its voices",
        "xi-api-key",
        "",
        voices=Voices("/voices", "voices", "voice_id", ("labels", "language")),
        speeds=(0.7, 1.2),
    ),
}
"""A row for each; what it speaks with is `speech/providers/NAME.py`: docs/how-to/extend.md."""

RealtimeProvider = Literal["openai", "google"]
VoiceProvider = Literal["cartesia", "elevenlabs"]
SttProvider = Literal["offline", "openai", "elevenlabs", "cartesia"]
VOICE_PROVIDERS: tuple[VoiceProvider, ...] = get_args(VoiceProvider)


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

    api_url: Annotated[
        str,
        Meta(min_length=1, max_length=2_000),
        Secret(known_by=("model_name",), is_url=True),
    ]
    model_name: Annotated[str, Meta(min_length=1, max_length=200)]
    api_key: Annotated[
        str, Meta(min_length=1, max_length=2_000), Secret("api_url", ("api_url", "model_name"))
    ]


_Milliseconds = Annotated[int, Meta(ge=0, le=10_000)]


class ServerVad(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="server_vad"
):
    """OpenAI ends the person's turn after a silence; a null member is OpenAI's own default."""

    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    prefix_padding_ms: _Milliseconds | None = None
    silence_duration_ms: _Milliseconds | None = None


class SemanticVad(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="semantic_vad"
):
    """OpenAI ends the person's turn by what was said, the sooner the more eager."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class RealtimeModel(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="realtime"
):
    """A model that hears and speaks by itself; the voice null is the provider's own default.

    What follows the voice is OpenAI's alone. `turn_detection` null: the agent's own voice activity
    detection ends the person's turns; `max_output_tokens` of one reply null: no limit.
    """

    provider: RealtimeProvider
    realtime_model_id: Annotated[str, Meta(max_length=200)]
    realtime_voice_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    turn_detection: ServerVad | SemanticVad | None = None
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0
    noise_reduction: Literal["near_field", "far_field"] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=4_096)] | None = None

    @property
    def is_tuned(self) -> bool:
        """Whether it has one of the settings that are OpenAI's alone."""
        plain = RealtimeModel(self.provider, self.realtime_model_id, self.realtime_voice_id)
        return self != plain


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
    provider: VoiceProvider
    speed: Annotated[float, Meta(ge=0.6, le=1.5)] = 1.0
    volume: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0


class GivenVoice(Struct, frozen=True, forbid_unknown_fields=True):
    """A cloud voice. Speed range: Cartesia 0.6–1.5, ElevenLabs 0.7–1.2; volume is Cartesia's."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    provider: VoiceProvider
    speed: Annotated[float, Meta(ge=0.6, le=1.5)] | None = None
    volume: Annotated[float, Meta(ge=0.5, le=2.0)] | None = None


class Stt(Struct, frozen=True, forbid_unknown_fields=True):
    """The speech recogniser; `model` null means the provider's own default."""

    provider: SttProvider = "offline"
    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
