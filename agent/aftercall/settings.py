"""What the after-call worker is told by its environment."""

from __future__ import annotations

import msgspec

from process.addresses import SETTING


class AfterCallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `python -m agent.aftercall`, each named by its environment variable."""

    livekit_api_secret: str = msgspec.field(name="LIVEKIT_API_SECRET")
    internal_url: str = msgspec.field(name="OFFHOOK_INTERNAL_URL", default="http://127.0.0.1:7901")
    allow_private: str = msgspec.field(name=SETTING, default="")
    stt_model_dir: str = msgspec.field(name="OFFHOOK_STT_MODEL_DIR", default="")
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")
    log_pii: bool = msgspec.field(name="OFFHOOK_LOG_PII", default=False)
