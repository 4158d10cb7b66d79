"""Cartesia: voices (Sonic) and a recogniser (Ink)."""

from __future__ import annotations

from typing import Any

from livekit.agents import stt, tts, vad
from livekit.plugins import cartesia

from control_plane.domain.providers import Provider, Stt, Voice
from process.addresses import Allowed
from speech.clauses import Clauses
from speech.providers.access import Providers, access
from speech.providers.session import Guarded


class _Voice(Guarded, cartesia.TTS):
    pass


class _Stt(Guarded, cartesia.STT):
    pass


def voice(chosen: Voice, providers: Providers, allowed: Allowed, *, language: str) -> tts.TTS[Any]:
    """Return the Cartesia voice, with its speed and volume; 24 kHz.

    Raises:
        ProviderKeyMissing: Cartesia has no key.
    """
    found = access(providers, Provider.CARTESIA)
    return _Voice(
        allowed,
        model="sonic-3",  # the only family that takes speed and volume as numbers
        voice=chosen.id,
        speed=chosen.speed,
        volume=chosen.volume,
        language=language,
        tokenizer=Clauses(),
        api_key=found.api_key,
        base_url=found.api_url,
    )


def transcriber(
    recogniser: Stt,
    providers: Providers,
    _listening: vad.VAD | None,
    allowed: Allowed,
    *,
    language: str,
    told: bool,
) -> stt.STT[Any]:
    """Return Cartesia's streaming recogniser.

    Raises:
        ProviderKeyMissing: Cartesia has no key.
    """
    found = access(providers, Provider.CARTESIA)
    return _Stt(
        allowed,
        model=recogniser.model or ("ink-2" if language == "en" else "ink-whisper"),
        language=language,
        api_key=found.api_key,
        base_url=found.api_url,
    )
