"""What a call used of each provider's model, as counted while it ran."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

OFFLINE = "offline"
"""The provider of the embedded engines."""

Count = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]
Name = Annotated[str, Meta(max_length=200)]


class Capability(StrEnum):
    """What a model was used for."""

    LLM = "llm"
    REALTIME = "realtime"
    TTS = "tts"
    STT = "stt"


class ProviderUsage(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, order=True
):
    """What was used of one model; what is left out was not used.

    Attributes:
        input_tokens: all of them; the cached and the audio ones are among them.
        cached_audio_input_tokens: among the cached and among the audio ones.
        output_tokens: all of them; the audio ones are among them.
        characters: that a voice spoke.
        audio_seconds: that a voice spoke, or that a recogniser heard.
    """

    capability: Capability
    provider: Name
    model: Name
    input_tokens: Count = 0
    cached_input_tokens: Count = 0
    audio_input_tokens: Count = 0
    cached_audio_input_tokens: Count = 0
    output_tokens: Count = 0
    audio_output_tokens: Count = 0
    characters: Count = 0
    audio_seconds: Annotated[float, Meta(ge=0, le=1e9)] = 0  # one object, by which it is left out


class Tokens(Struct, frozen=True):
    """Tokens by what they cost, none of them in two places."""

    input: int
    cached_input: int
    audio_input: int
    cached_audio_input: int
    output: int
    audio_output: int


def tokens(usage: ProviderUsage) -> Tokens:
    """Return the tokens by what they cost; a provider that contradicts itself gives no negative."""
    cached_audio = min(
        usage.cached_audio_input_tokens, usage.cached_input_tokens, usage.audio_input_tokens
    )
    cached_text = usage.cached_input_tokens - cached_audio
    fresh_audio = usage.audio_input_tokens - cached_audio
    audio_output = min(usage.audio_output_tokens, usage.output_tokens)
    return Tokens(
        input=max(0, usage.input_tokens - cached_audio - cached_text - fresh_audio),
        cached_input=cached_text,
        audio_input=fresh_audio,
        cached_audio_input=cached_audio,
        output=usage.output_tokens - audio_output,
        audio_output=audio_output,
    )


def added(parts: Iterable[ProviderUsage]) -> list[ProviderUsage]:
    """Return one part per capability, provider and model, with the sums, in order."""
    sums: dict[tuple[Capability, str, str], ProviderUsage] = {}
    for part in parts:
        key = (part.capability, part.provider, part.model)
        known = sums.get(key)
        sums[key] = part if known is None else _combined(known, part, sign=1)
    return sorted(sums.values())


def since(before: Iterable[ProviderUsage], now: Iterable[ProviderUsage]) -> list[ProviderUsage]:
    """Return what was used between two countings of the same call; never a negative."""
    known = {(part.capability, part.provider, part.model): part for part in added(before)}
    news = []
    for part in added(now):
        old = known.get((part.capability, part.provider, part.model))
        news.append(part if old is None else _combined(part, old, sign=-1))
    return news


def _combined(one: ProviderUsage, other: ProviderUsage, *, sign: int) -> ProviderUsage:
    return msgspec.structs.replace(
        one,
        **{
            name: max(0, getattr(one, name) + sign * getattr(other, name)) or 0
            for name in ProviderUsage.__struct_fields__
            if name not in ("capability", "provider", "model")
        },
    )
