"""ElevenLabs: voices and a recogniser (Scribe)."""

from __future__ import annotations

from typing import Any

from livekit.agents import stt, tts, vad
from livekit.plugins import elevenlabs

from control_plane.domain.providers import SERVICES, Provider, Stt, Voice
from process.addresses import Allowed
from speech.clauses import Clauses
from speech.providers.access import Providers, access
from speech.providers.session import Guarded

_SLOWEST, _FASTEST = SERVICES[Provider.ELEVENLABS].speeds
_SILENCE_S = 0.35
_STABILITY, _SIMILARITY = 0.5, 0.75
"""The provider's own defaults; its plugin wants them given as soon as a speed is."""


class _Voice(Guarded, elevenlabs.TTS):
    pass


class _Stt(Guarded, elevenlabs.STT):
    pass


def voice(chosen: Voice, providers: Providers, allowed: Allowed, *, language: str) -> tts.TTS[Any]:
    """Return the ElevenLabs voice, its speed held to the provider's 0.7–1.2; PCM, 24 kHz.

    Raises:
        ProviderKeyMissing: ElevenLabs has no key.
    """
    found = access(providers, Provider.ELEVENLABS)
    return _Voice(
        allowed,
        voice_id=chosen.id,
        voice_settings=elevenlabs.VoiceSettings(
            stability=_STABILITY,
            similarity_boost=_SIMILARITY,
            speed=min(_FASTEST, max(_SLOWEST, chosen.speed)),
        ),
        encoding="pcm_24000",
        language=language,
        word_tokenizer=Clauses(),
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
    """Return ElevenLabs' streaming recogniser.

    Args:
        told: when a sentence is over; else it finds out by itself, a little later.

    Raises:
        ProviderKeyMissing: ElevenLabs has no key.
    """
    found = access(providers, Provider.ELEVENLABS)
    by_itself = {} if told else {"server_vad": {"vad_silence_threshold_secs": _SILENCE_S}}
    return _Stt(
        allowed,
        model=recogniser.model or "scribe_v2_realtime",
        language_code=language,
        api_key=found.api_key,
        base_url=found.api_url,
        **by_itself,
    )
