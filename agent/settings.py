"""What the agent worker is told by its environment."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from process.addresses import SETTING
from sip.settings import LiveKitSettings


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `python -m agent`, each named by its environment variable."""

    livekit_url: str = msgspec.field(name="LIVEKIT_URL", default="ws://127.0.0.1:7880")
    livekit_sip_url: str = msgspec.field(name="LIVEKIT_SIP_URL", default="")
    livekit_api_key: str = msgspec.field(name="LIVEKIT_API_KEY")
    livekit_api_secret: str = msgspec.field(name="LIVEKIT_API_SECRET")
    internal_url: str = msgspec.field(name="OFFHOOK_INTERNAL_URL", default="http://127.0.0.1:7901")
    data: str = msgspec.field(name="OFFHOOK_DATA", default="./data")
    short_way: bool = msgspec.field(name="OFFHOOK_SHORT_WAY", default=True)
    worker_host: str = msgspec.field(name="OFFHOOK_WORKER_HOST", default="127.0.0.1")
    worker_port: int = msgspec.field(name="OFFHOOK_WORKER_PORT", default=7891)
    max_sessions: Annotated[int, Meta(ge=1)] = msgspec.field(
        name="OFFHOOK_WORKER_MAX_SESSIONS", default=20
    )
    growth_mb: Annotated[int, Meta(ge=0)] = msgspec.field(
        name="OFFHOOK_WORKER_GROWTH_MB", default=500
    )
    growth_threads: Annotated[int, Meta(ge=0)] = msgspec.field(
        name="OFFHOOK_WORKER_GROWTH_THREADS", default=100
    )
    allow_private: str = msgspec.field(name=SETTING, default="")
    stt_model_dir: str = msgspec.field(name="OFFHOOK_STT_MODEL_DIR", default="")
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")
    log_pii: bool = msgspec.field(name="OFFHOOK_LOG_PII", default=False)

    @property
    def livekit(self) -> LiveKitSettings:
        """Return where LiveKit and its SIP service are."""
        return LiveKitSettings(
            url=self.livekit_url,
            sip_url=self.livekit_sip_url,
            api_key=self.livekit_api_key,
            api_secret=self.livekit_api_secret,
        )
