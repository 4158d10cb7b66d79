"""What a call uses of its providers: tokens, characters, seconds, by who did the work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from livekit.agents import AgentSession, llm
from livekit.agents.metrics import (
    AgentMetrics,
    LLMMetrics,
    LLMModelUsage,
    ModelUsage,
    STTMetrics,
    STTModelUsage,
    TTSMetrics,
)

from agent.reporter import Reporter
from agent.session import Parts
from control_plane.domain.brief import CallBrief
from control_plane.domain.events import UsageCounted
from control_plane.domain.usage import Capability, ProviderUsage, added

_MAKER = re.compile(r"(?:livekit\.plugins|speech\.providers|speech)\.(\w+)\.")
_MILLISECOND = 3
"""Digits of the seconds that are told."""


class UsageMeter:
    """Counts from the moment it listens; every request once, whoever made it.

    It listens to the engines themselves, not to the session: what is asked of them before the
    session is there and beside it counts too, and of several that step in for each other it is
    the one that answered which tells. Only a realtime model has nothing but the session to tell.
    """

    def __init__(self) -> None:
        self._parts: list[ProviderUsage] = []
        self._session: AgentSession[Any] | None = None
        self._realtime: tuple[str, str] | None = None
        self._told: list[ProviderUsage] | None = None

    def listen(self, parts: Parts, brief: CallBrief) -> None:
        """Count what is asked of these parts, once each, whatever they are used for."""
        model = parts.llm
        if isinstance(model, llm.RealtimeModel):
            self._realtime = (getattr(brief.assistant.llm_model, "provider", ""), model.model)
        for engine in _engines(parts.all):
            self._listen_to(engine)

    def listen_to_session(self, session: AgentSession[Any]) -> None:
        """Count what a realtime model tells through `session`; of others it tells nothing new."""
        self._session = session

    def report(self, reporter: Reporter) -> None:
        """Report what was used, unless that is what was reported last."""
        parts = self.counted()
        if parts != self._told:
            self._told = parts
            reporter.report(UsageCounted, parts=parts)

    def counted(self) -> list[ProviderUsage]:
        """Return what was used so far; a model that was only made ready is not among it."""
        parts = [_rounded(part) for part in added([*self._parts, *self._by_session()])]
        return [part for part in parts if part != _unused(part)]

    def _listen_to(self, engine: Any) -> None:
        provider, model = provider_of(engine), str(engine.model)

        def on_metrics(metrics: AgentMetrics) -> None:
            part = _usage_of(metrics, provider, model)
            if part is not None:
                self._parts = added([*self._parts, part])

        engine.on("metrics_collected", on_metrics)

    def _by_session(self) -> Iterator[ProviderUsage]:
        if self._realtime is None or self._session is None:
            return
        for told in self._session.usage.model_usage:
            part = _spoken_with(told, *self._realtime)
            if part is not None:
                yield part


def provider_of(engine: Any) -> str:
    """Return who serves an engine: by its own name if it was given one, else by its maker.

    An address is no name: OpenAI's plugin calls the host that it asks its provider.
    """
    maker = _MAKER.match(engine.label)
    return maker.group(1) if maker is not None else str(engine.label)


def _engines(parts: Iterable[Any]) -> list[Any]:
    """Return the engines that do the work, each once; adapters are made of several."""
    found: dict[int, Any] = {}
    for part in parts:
        if part is None or isinstance(part, llm.RealtimeModel):
            continue
        for engine in getattr(part, "members", [part]):
            found[id(engine)] = engine
    return list(found.values())


def _usage_of(metrics: AgentMetrics, provider: str, model: str) -> ProviderUsage | None:
    match metrics:
        case LLMMetrics():
            return ProviderUsage(
                capability=Capability.LLM,
                provider=provider,
                model=model,
                input_tokens=metrics.prompt_tokens,
                cached_input_tokens=metrics.prompt_cached_tokens,
                output_tokens=metrics.completion_tokens,
            )
        case TTSMetrics():
            return ProviderUsage(
                capability=Capability.TTS,
                provider=provider,
                model=model,
                input_tokens=metrics.input_tokens,
                output_tokens=metrics.output_tokens,
                characters=metrics.characters_count,
                audio_seconds=metrics.audio_duration,
            )
        case STTMetrics():
            return _heard(metrics, provider, model)
        case _:
            return None  # our own voice activity detection costs nobody anything


def _spoken_with(told: ModelUsage, provider: str, model: str) -> ProviderUsage | None:
    """Return what a realtime model used, or whoever transcribes for it."""
    match told:
        case LLMModelUsage():
            return ProviderUsage(
                capability=Capability.REALTIME,
                provider=provider,
                model=model,
                input_tokens=told.input_tokens,
                cached_input_tokens=told.input_cached_tokens,
                audio_input_tokens=told.input_audio_tokens,
                cached_audio_input_tokens=told.input_cached_audio_tokens,
                output_tokens=told.output_tokens,
                audio_output_tokens=told.output_audio_tokens,
            )
        case STTModelUsage():
            return _heard(told, provider, told.model)
        case _:
            return None  # its voice is counted where it speaks


def _heard(told: STTMetrics | STTModelUsage, provider: str, model: str) -> ProviderUsage:
    return ProviderUsage(
        capability=Capability.STT,
        provider=provider,
        model=model,
        input_tokens=told.input_tokens,
        audio_input_tokens=told.input_audio_tokens,
        output_tokens=told.output_tokens,
        audio_seconds=told.audio_duration,
    )


def _unused(part: ProviderUsage) -> ProviderUsage:
    return ProviderUsage(capability=part.capability, provider=part.provider, model=part.model)


def _rounded(part: ProviderUsage) -> ProviderUsage:
    seconds = round(part.audio_seconds, _MILLISECOND)
    return msgspec.structs.replace(part, audio_seconds=seconds or 0)
