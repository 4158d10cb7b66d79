"""Google: Gemini Live, a model that hears and speaks."""

from __future__ import annotations

from google.genai import live
from google.genai.types import HttpOptions
from livekit.agents import APIConnectOptions, llm
from livekit.plugins import google

from control_plane.domain.providers import Provider, RealtimeModel
from process.addresses import Allowed
from process.safe_websocket import SafeConnect, connection_to
from speech.providers.access import Providers, access

_VOICE = "Puck"

# Google's client takes no other way to connect; without it, it would go wherever it is told.
setattr(live, "ws_connect", SafeConnect)  # noqa: B010 - the library keeps the name to itself


def realtime(
    model: RealtimeModel,
    providers: Providers,
    allowed: Allowed,
    *,
    language: str,
    conn_options: APIConnectOptions,
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
        http_options=HttpOptions(
            base_url=providers[Provider.GOOGLE].api_url,  # the client's own is no address to it
            timeout=int(conn_options.timeout * 1_000),
            async_client_args={"create_connection": connection_to(allowed)},
        ),
        conn_options=conn_options,
    )
