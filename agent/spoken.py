"""Sentences that are spoken again and again: synthesised once, kept by the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from livekit import rtc
from livekit.agents import tts
from msgspec import Struct

from control_plane.domain.brief import CallBrief
from control_plane.domain.providers import Voice
from speech import limits

KEPT = 128
"""Sentences kept per worker, at about 50 kB a second of speech."""

_kept: dict[tuple[str, Voice | None, str, str], tuple[rtc.AudioFrame, ...]] = {}


class Spoken(Struct, frozen=True):
    """Words and their sound (mono int16 at the voice's own rate)."""

    text: str
    frames: tuple[rtc.AudioFrame, ...]

    async def audio(self) -> AsyncIterator[rtc.AudioFrame]:
        """Yield the sound."""
        for frame in self.frames:
            yield frame


async def speak(text: str, brief: CallBrief, voice: tts.TTS[Any]) -> Spoken:
    """Return `text` spoken by the assistant's voice.

    Raises:
        livekit.agents.APIError: the voice failed.
    """
    spec = brief.assistant
    key = (brief.organization_id, spec.voice, spec.language.value, text)
    known = _kept.get(key)
    if known is None:
        async with voice.synthesize(text, conn_options=limits.TTS) as stream:
            known = tuple([chunk.frame async for chunk in stream])
        _kept[key] = known
        while len(_kept) > KEPT:
            _kept.pop(next(iter(_kept)))
    return Spoken(text, known)
