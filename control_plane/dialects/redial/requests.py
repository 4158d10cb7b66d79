"""What Redial's clients ask for, as an order: unknown members are ignored, as OpenAI's grow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from control_plane.dialects.placing import ONCE
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.assistant_rules import check
from control_plane.domain.errors import BadInput
from control_plane.domain.order_request import OrderRequest
from control_plane.domain.placeholders import names, placeholder
from control_plane.domain.providers import RealtimeModel, SemanticVad, ServerVad

_LAST = 4_102_444_800  # the year 2100; milliseconds lie far beyond it
_Milliseconds = Annotated[int, Meta(ge=0, le=10_000)]
_Voice = Annotated[str, Meta(min_length=1, max_length=200)]
_Speed = Annotated[float, Meta(ge=0.25, le=1.5)]
_Tokens = Annotated[int, Meta(ge=1, le=4_096)] | Literal["inf"]


class TurnDetection(Struct, frozen=True, kw_only=True):
    """How OpenAI finds the end of a turn; a null member is its own default."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    prefix_padding_ms: _Milliseconds | None = None
    silence_duration_ms: _Milliseconds | None = None
    eagerness: Literal["low", "medium", "high", "auto"] | None = None


class NoiseReduction(Struct, frozen=True):
    """What microphone the sound is cleaned for."""

    type: Literal["near_field", "far_field"]


class AudioInput(Struct, frozen=True, kw_only=True):
    """What the model hears, as OpenAI nests it now."""

    turn_detection: TurnDetection | bool | None = None
    noise_reduction: NoiseReduction | None = None


class AudioOutput(Struct, frozen=True, kw_only=True):
    """What the model says, as OpenAI nests it now."""

    voice: _Voice | None = None
    speed: _Speed | None = None


class Audio(Struct, frozen=True, kw_only=True):
    """Both sides."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class LlmConfig(Struct, frozen=True, kw_only=True):
    """Settings of OpenAI's realtime sessions, in their flat form and the nested one of today."""

    voice: _Voice | None = None
    speed: _Speed | None = None
    turn_detection: TurnDetection | bool | None = None
    input_audio_noise_reduction: NoiseReduction | None = None
    max_response_output_tokens: _Tokens | None = None
    max_output_tokens: _Tokens | None = None
    audio: Audio = Audio()


class Schedule(Struct, frozen=True, kw_only=True):
    """A call to schedule."""

    who_to_call: Annotated[str, Meta(max_length=100)]
    when: Annotated[int, Meta(le=_LAST)]
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    instructions: Annotated[str, Meta(max_length=100_000)]
    custom_llm_config: LlmConfig | None = None


def order_request(given: Schedule, *, organization_id: str, api_key_id: str) -> OrderRequest:
    """Return what is asked for.

    Raises:
        BadInput: a setting cannot be used; names it.
    """
    spec = AssistantSpec(
        name="Redial",
        prompt=given.instructions,
        llm_model=_model(given.model, given.custom_llm_config or LlmConfig()),
        recording_enabled=False,  # nobody asked for one, and nothing here would return it
    )
    check(spec)
    return OrderRequest(
        organization_id=organization_id,
        api_key_id=api_key_id,
        phone_number=given.who_to_call,
        assistant=spec,
        call_retry_config=ONCE,
        # A past instant is now to every order; 0 and what is below it say so themselves.
        scheduled_at=datetime.fromtimestamp(given.when, UTC) if given.when > 0 else None,
        # Instructions are no template here: each {{name}} stands for itself.
        prompt_variables={name: placeholder(name) for name in names(given.instructions)},
    )


def _model(name: str, config: LlmConfig) -> RealtimeModel:
    hears, says = config.audio.input, config.audio.output
    asked = config.turn_detection
    turns = asked if asked is not None else hears.turn_detection
    noise = config.input_audio_noise_reduction or hears.noise_reduction
    most = config.max_response_output_tokens or config.max_output_tokens
    speed = config.speed or says.speed
    return RealtimeModel(
        "openai",
        name,
        config.voice or says.voice,
        turn_detection=_turns(turns),
        speed=speed if speed is not None else 1.0,
        noise_reduction=noise.type if noise is not None else None,
        max_output_tokens=None if most == "inf" else most,
    )


def _turns(asked: TurnDetection | bool | None) -> ServerVad | SemanticVad | None:
    """Return who ends turns: `false` and null are our own voice activity detection.

    Raises:
        BadInput: it is `true`, which says nothing.
    """
    if asked is True:
        raise BadInput(
            "custom_llm_config.turn_detection is false, null or an object with a type: "
            "server_vad or semantic_vad",
            field="custom_llm_config.turn_detection",
        )
    if isinstance(asked, TurnDetection):
        if asked.type == "semantic_vad":
            return SemanticVad(asked.eagerness or "auto")
        return ServerVad(asked.threshold, asked.prefix_padding_ms, asked.silence_duration_ms)
    return None
