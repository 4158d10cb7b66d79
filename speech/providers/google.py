"""Google: Gemini Live, a model that hears and speaks."""

from __future__ import annotations

from google.genai.types import HttpOptions
from livekit.agents import NOT_GIVEN, APIConnectOptions, llm
from livekit.plugins import google

from control_plane.domain.assistant import Provider, RealtimeModel
from speech.providers.access import Providers, access

_VOICE = "Puck"


def realtime(
    model: RealtimeModel, providers: Providers, *, language: str, conn_options: APIConnectOptions
) -> llm.RealtimeModel:
    """Return the model; it tells by itself when the person has finished.

    Raises:
        ProviderKeyMissing: Google has no key.
    """
    found = access(providers, Provider.GOOGLE)
    return google.realtime.RealtimeModel(
        model=model.realtime_model_id,
        voice=model.realtime_voice_id or _VOICE,
        language=language,
        api_key=found.api_key,
        http_options=HttpOptions(base_url=found.api_url) if found.api_url else NOT_GIVEN,
        conn_options=conn_options,
    )
