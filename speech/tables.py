"""Which engine serves which setting: one table each for models, voices and ears.

Every plugin is imported here, at module level: LiveKit registers plugins on the main thread only.
"""

from __future__ import annotations

from typing import Any

from livekit.agents import llm, stt, tts, vad

from control_plane.domain.assistant import (
    DEFAULT_LANGUAGE,
    CustomModel,
    DedicatedModel,
    Ears,
    LlmModel,
    RealtimeModel,
    Voice,
)
from speech.offline.llm import OfflineLLM
from speech.offline.stt import OfflineSTT
from speech.offline.tts import OfflineTTS
from speech.prewarm import OfflineEngines
from speech.providers import cartesia, elevenlabs, openai
from speech.providers.access import Providers

_VOICES = {"cartesia": cartesia.voice, "elevenlabs": elevenlabs.voice}
_EARS = {
    "openai": openai.transcriber,
    "cartesia": cartesia.transcriber,
    "elevenlabs": elevenlabs.transcriber,
}


class OfflineNotLoaded(Exception):
    """The embedded engines are needed and were not loaded; call `speech.prewarm.load_offline`."""


class RealtimeNotSpoken(Exception):
    """An assistant has a model of the type realtime, which no call can be held with yet."""

    def __init__(self) -> None:
        super().__init__("no call can be held with an llm_model of the type realtime yet")


def make_llm(
    model: LlmModel | None, providers: Providers, *, engines: OfflineEngines | None = None
) -> llm.LLM[Any]:
    """Return the model; null is the embedded scripted dialogue.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: null was asked for without `engines`.
        RealtimeNotSpoken: it is a realtime model.
    """
    if isinstance(model, RealtimeModel):
        raise RealtimeNotSpoken
    if model is None:
        loaded = _loaded(engines)
        return OfflineLLM(loaded.meaning, loaded.thinking)
    if isinstance(model, DedicatedModel):
        return openai.dedicated(model, providers)
    if isinstance(model, CustomModel):
        return openai.custom(model)
    return openai.openrouter(model, providers)


def make_tts(
    voice: Voice | None,
    providers: Providers,
    *,
    language: str = DEFAULT_LANGUAGE,
    engines: OfflineEngines | None = None,
) -> tts.TTS[Any]:
    """Return the voice; null is the embedded one.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: null was asked for without `engines`.
    """
    if voice is None:
        loaded = _loaded(engines)
        return OfflineTTS(loaded.speaker, loaded.speaking)
    return _VOICES[voice.provider](voice, providers, language=_base(language))


def make_stt(
    ears: Ears,
    providers: Providers,
    *,
    language: str = DEFAULT_LANGUAGE,
    engines: OfflineEngines | None = None,
    listening: vad.VAD | None = None,
) -> stt.STT[Any]:
    """Return the recogniser.

    Args:
        listening: lets the embedded ears stream, with the text ready when a turn ends (about
            0.15 s sooner than through `stt.StreamAdapter`); other ears bring their own.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: offline ears were asked for without `engines`.
    """
    if ears.provider == "offline":
        loaded = _loaded(engines)
        return OfflineSTT(loaded.ears, loaded.decoding, vad=listening)
    return _EARS[ears.provider](ears, providers, language=_base(language))


def _loaded(engines: OfflineEngines | None) -> OfflineEngines:
    if engines is None:
        raise OfflineNotLoaded
    return engines


def _base(language: str) -> str:
    """`en-US` → `en`: what the providers take."""
    return language.partition("-")[0].lower()
