"""Which engine serves which setting: one table each for models, voices and recognisers.

Every plugin is imported here, at module level: LiveKit registers plugins on the main thread only.
A provider more is its row in `control_plane.domain.providers` and
a file of its name in `speech/providers/`, with a function for each of the three that it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, get_args

from livekit.agents import llm, stt, tts, vad

from control_plane.domain.assistant import Language
from control_plane.domain.providers import (
    VOICE_PROVIDERS,
    CustomModel,
    DedicatedModel,
    EmbeddedModel,
    LlmModel,
    OpenRouterModel,
    RealtimeModel,
    RealtimeProvider,
    Stt,
    SttProvider,
    TextModel,
    Voice,
    provider_of,
)
from process.addresses import Allowed
from speech import limits
from speech.fallbacks import FallbackLLM, FallbackSTT, FallbackTTS
from speech.offline.llm import OfflineLLM
from speech.offline.stt import OfflineSTT
from speech.offline.tts import OfflineTTS
from speech.prewarm import OfflineEngines
from speech.providers import openai
from speech.providers.access import Providers
from speech.validated import ValidatedLLM

_MODELS: dict[type[TextModel], Callable[[Any, Providers, Allowed], llm.LLM[Any]]] = {
    DedicatedModel: openai.dedicated,
    OpenRouterModel: openai.openrouter,
    CustomModel: openai.custom,
}
PUBLIC_ONLY = Allowed()
_SERVING = {*VOICE_PROVIDERS, *get_args(RealtimeProvider), *get_args(SttProvider)} - {"offline"}
_MODULES = {name: import_module(f"speech.providers.{name}") for name in _SERVING}


class OfflineNotLoaded(Exception):
    """The embedded engines are needed and were not loaded; call `speech.prewarm.load_offline`."""


def make_llm(
    model: LlmModel | None,
    providers: Providers,
    *,
    fallbacks: Sequence[TextModel] = (),
    language: Language = Language.EN_US,
    engines: OfflineEngines | None = None,
    allowed: Allowed = PUBLIC_ONLY,
) -> llm.LLM[Any] | llm.RealtimeModel:
    """Return the model; null is the embedded scripted dialogue.

    Args:
        fallbacks: step in, in this order, when it fails; not for a realtime model.
        language: what a realtime model hears; others are told in their instructions.
        allowed: what a provider's address may be beyond the public internet.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: null was asked for without `engines`.
    """
    if model is None or isinstance(model, EmbeddedModel):
        loaded = _loaded(engines)
        return OfflineLLM(loaded.meaning, loaded.thinking)
    if isinstance(model, RealtimeModel):
        realtime: llm.RealtimeModel = _MODULES[model.provider].realtime(
            model, providers, allowed, language=language.base, conn_options=limits.REALTIME
        )
        return realtime
    made: list[llm.LLM[Any]] = [
        ValidatedLLM(_MODELS[type(each)](each, providers, allowed), provider_name(each))
        for each in (model, *fallbacks)
    ]
    if len(made) == 1:
        return made[0]
    limit = limits.LLM_WITH_FALLBACK
    return FallbackLLM(made, attempt_timeout=limit.timeout, retry_interval=limit.retry_interval)


def make_tts(
    voice: Voice | None,
    providers: Providers,
    *,
    fallbacks: Sequence[Voice] = (),
    language: Language = Language.EN_US,
    engines: OfflineEngines | None = None,
    allowed: Allowed = PUBLIC_ONLY,
) -> tts.TTS[Any]:
    """Return the voice; null is the embedded one.

    Args:
        fallbacks: step in, in this order, when it fails.
        allowed: as for models.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: null was asked for without `engines`.
    """
    if voice is None:
        loaded = _loaded(engines)
        return OfflineTTS(loaded.speaker, loaded.speaking)
    made: list[tts.TTS[Any]] = [
        _MODULES[each.provider].voice(each, providers, allowed, language=language.base)
        for each in (voice, *fallbacks)
    ]
    return made[0] if len(made) == 1 else FallbackTTS(made, max_retry_per_tts=0)


def make_stt(
    recogniser: Stt,
    providers: Providers,
    *,
    fallbacks: Sequence[Stt] = (),
    language: Language = Language.EN_US,
    engines: OfflineEngines | None = None,
    listening: vad.VAD | None = None,
    allowed: Allowed = PUBLIC_ONLY,
) -> stt.STT[Any]:
    """Return the recogniser.

    Args:
        fallbacks: step in, in this order, when it fails.
        listening: lets a recogniser stream that does not by itself (speech/speculative_stt.py).
        allowed: as for models.

    Raises:
        ProviderKeyMissing: naming the remedy.
        OfflineNotLoaded: the offline recogniser was asked for without `engines`.
    """

    def made(each: Stt) -> stt.STT[Any]:
        if each.provider == "offline":
            loaded = _loaded(engines)
            return OfflineSTT(loaded.whisper, loaded.decoding, vad=listening)
        # The adapter tells that a sentence is over only where all of its recognisers want to know.
        hosted: stt.STT[Any] = _MODULES[each.provider].transcriber(
            each, providers, listening, allowed, language=language.base, told=not fallbacks
        )
        return hosted

    first, *others = [made(each) for each in (recogniser, *fallbacks)]
    if not others:
        return first
    return FallbackSTT(
        [first, *others],
        vad=listening,
        attempt_timeout=limits.STT.timeout,
        max_retry_per_stt=0,
        retry_interval=limits.STT.retry_interval,
    )


def provider_name(model: LlmModel | None) -> str:
    """Return how errors and results name who serves the model."""
    if model is None or isinstance(model, EmbeddedModel):
        return "offline"
    provider = provider_of(model)
    return "custom" if provider is None else provider.value


def _loaded(engines: OfflineEngines | None) -> OfflineEngines:
    if engines is None:
        raise OfflineNotLoaded
    return engines
