"""OpenAI and everything that speaks its chat completions: OpenAI, Mistral, OpenRouter, custom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import aiohttp
import httpx2
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    llm,
    stt,
    vad,
)
from livekit.plugins import openai
from msgspec.structs import asdict
from openai import AsyncClient
from openai.types.realtime import AudioTranscription
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad, ServerVad

from control_plane.domain import providers as domain
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import (
    DEDICATED,
    CustomModel,
    DedicatedModel,
    OpenRouterModel,
    Provider,
    RealtimeModel,
    Stt,
)
from process.addresses import Allowed
from process.safe_http import Limits, Outbound, safe_client
from process.safe_session import SafeSession
from speech.providers.access import Providers, access
from speech.providers.session import Guarded, authorities
from speech.speculative_stt import SpeculativeStream

LIMITS = Limits(total_s=60.0, body_bytes=8 * 1024 * 1024, idle_s=120.0)
"""Of one answer, to its last word; how long it may be silent is the session's own limit."""

_TRANSCRIBER = "gpt-4o-mini-transcribe"
_REALTIME_VOICE = "marin"

_MISTRAL_NAME = {"ministral-3-8b-instruct": "ministral-8b-2512"}
"""What Mistral calls the models that assistants name."""


def dedicated(model: DedicatedModel, providers: Providers, allowed: Allowed) -> llm.LLM[Any]:
    """Return the named model, at OpenAI or at Mistral.

    Raises:
        ProviderKeyMissing: the provider that serves it has no key.
    """
    found = access(providers, DEDICATED[model.name])
    name = _MISTRAL_NAME.get(model.name, model.name)
    return _Model(model=name, client=_client(found, allowed))


def openrouter(model: OpenRouterModel, providers: Providers, allowed: Allowed) -> llm.LLM[Any]:
    """Return an OpenRouter model, served by the upstream provider asked for and by no other.

    Raises:
        ProviderKeyMissing: OpenRouter has no key.

    Source: https://openrouter.ai/docs/features/provider-routing
    """
    found = access(providers, Provider.OPENROUTER)
    pinned = model.openrouter_provider
    routing = {"order": [pinned], "allow_fallbacks": False} if pinned else {}
    return _Model(
        model=model.openrouter_model_id,
        client=_client(found, allowed),
        extra_body={"provider": routing},
    )


def realtime(
    model: RealtimeModel,
    providers: Providers,
    allowed: Allowed,
    *,
    language: str,
    conn_options: APIConnectOptions,
) -> llm.RealtimeModel:
    """Return OpenAI's model that hears and speaks; it or our own VAD tells turns, as asked.

    Raises:
        ProviderKeyMissing: OpenAI has no key.
    """
    found = access(providers, Provider.OPENAI)
    made = _Realtime(
        allowed,
        model=model.realtime_model_id,
        voice=model.realtime_voice_id or _REALTIME_VOICE,
        speed=model.speed,
        # None by default: OpenAI could not be told that a sentence must be heard to its end.
        turn_detection=_turn_detection(model.turn_detection),
        input_audio_noise_reduction=model.noise_reduction,
        input_audio_transcription=AudioTranscription(model=_TRANSCRIBER, language=language),
        api_key=found.api_key,
        base_url=found.api_url,
        conn_options=conn_options,
    )
    if model.max_output_tokens is not None:
        made.update_options(max_response_output_tokens=model.max_output_tokens)
    return made


def _turn_detection(
    asked: domain.ServerVad | domain.SemanticVad | None,
) -> ServerVad | SemanticVad | None:
    """Return who tells turns at OpenAI; None: nobody, the agent commits them."""
    match asked:
        case None:
            return None
        case domain.SemanticVad(eagerness=eagerness):
            turns: ServerVad | SemanticVad = SemanticVad(type="semantic_vad", eagerness=eagerness)
        case domain.ServerVad():
            given = {name: value for name, value in asdict(asked).items() if value is not None}
            turns = ServerVad(type="server_vad", **given)
    turns.create_response = turns.interrupt_response = True
    return turns


def custom(model: CustomModel, _providers: Providers, allowed: Allowed) -> llm.LLM[Any]:
    """Return a model at an endpoint of the user's own, public or `allowed`."""
    return _Model(
        model=model.model_name,
        client=_client(ProviderAccess(model.api_key, model.api_url), allowed),
    )


class _Realtime(Guarded, openai.realtime.RealtimeModel):
    pass


class _Model(openai.LLM):
    """Closes the client that was made for it."""

    async def aclose(self) -> None:
        await super().aclose()
        await self._client.close()


def _client(found: ProviderAccess, allowed: Allowed) -> AsyncClient:
    """Return a client that asks once: what to do about a failure is the session's to decide.

    The certificates are read once a process: that takes 50 ms of CPU, in which its other calls do
    not move.
    """
    outbound = Outbound(allowed, LIMITS, tls=authorities())
    http = safe_client(outbound, timeout=httpx2.Timeout(5.0))
    return AsyncClient(
        api_key=found.api_key, base_url=found.api_url, max_retries=0, http_client=http
    )


def transcriber(
    recogniser: Stt,
    providers: Providers,
    listening: vad.VAD | None,
    allowed: Allowed,
    *,
    language: str,
    told: bool,
) -> stt.STT[Any]:
    """Return OpenAI's recogniser; batch unless the model is a realtime one.

    Args:
        listening: lets a batch one stream, asked as soon as the person may have finished.

    Raises:
        ProviderKeyMissing: OpenAI has no key.
    """
    found = access(providers, Provider.OPENAI)
    return _Transcriber(
        listening,
        allowed,
        model=recogniser.model or _TRANSCRIBER,
        language=language,
        client=_client(found, allowed),
    )


class _Transcriber(openai.STT):
    """Streams by itself, and closes its client, which the plugin leaves open."""

    def __init__(self, listening: vad.VAD | None, allowed: Allowed, **options: Any) -> None:
        super().__init__(**options)
        self._guarded = SafeSession(allowed, authorities())
        self._listening = None if self.capabilities.streaming else listening
        if self._listening is not None:
            self._capabilities = replace(self.capabilities, streaming=True)

    def stream(  # type: ignore[override]  # the plugin's is its websocket's
        self,
        *,
        language: NotGivenOr[str | list[str]] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        if self._listening is None:
            return super().stream(language=language, conn_options=conn_options)
        return SpeculativeStream(self, self._listening, conn_options)

    async def aclose(self) -> None:
        await super().aclose()
        await self._client.close()
        await self._guarded.close()

    def _ensure_session(self) -> aiohttp.ClientSession:
        # The plugin takes none, and asks here for one.
        return cast(aiohttp.ClientSession, self._guarded)
