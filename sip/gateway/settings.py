"""Settings of the gateway: one frozen struct, filled from the environment in `__main__`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sip.gateway.codecs import SERVED, USUAL, Codecs
from sip.gateway.line_watch import HOLD_S

_NAME = f"({'|'.join(SERVED)})"
CODECS = f"^{_NAME}(,{_NAME})*$"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway can be told; each field's name in the environment is its `name`."""

    livekit_url: str = msgspec.field(name="LIVEKIT_URL", default="ws://127.0.0.1:7880")
    livekit_api_key: str = msgspec.field(name="LIVEKIT_API_KEY")
    livekit_api_secret: str = msgspec.field(name="LIVEKIT_API_SECRET")
    api_host: str = msgspec.field(name="OFFHOOK_SIP_API_HOST", default="127.0.0.1")
    api_port: int = msgspec.field(name="OFFHOOK_SIP_API_PORT", default=7890)
    sip_host: str = msgspec.field(name="OFFHOOK_SIP_HOST", default="127.0.0.1")
    sip_port: int = msgspec.field(name="OFFHOOK_SIP_PORT", default=5060)
    ua_port: int = msgspec.field(name="OFFHOOK_SIP_UA_PORT", default=5070)
    rtp_port_min: int = msgspec.field(name="OFFHOOK_RTP_PORT_MIN", default=20000)
    rtp_port_max: int = msgspec.field(name="OFFHOOK_RTP_PORT_MAX", default=20399)
    rtp_source: Annotated[str, msgspec.Meta(pattern="^(strict|any)$")] = msgspec.field(
        name="OFFHOOK_RTP_SOURCE", default="strict"
    )
    data: str = msgspec.field(name="OFFHOOK_DATA", default="./data")
    codec_order: Annotated[str, msgspec.Meta(pattern=CODECS)] = msgspec.field(
        name="OFFHOOK_SIP_CODECS", default=",".join(USUAL)
    )
    short_way: bool = msgspec.field(name="OFFHOOK_SHORT_WAY", default=True)
    max_calls: int = msgspec.field(name="OFFHOOK_SIP_MAX_CALLS", default=60)
    answer_timeout: float = msgspec.field(name="OFFHOOK_SIP_ANSWER_TIMEOUT", default=45.0)
    hold_timeout: float = msgspec.field(name="OFFHOOK_SIP_HOLD_TIMEOUT", default=HOLD_S)
    silent_reject: bool = msgspec.field(name="OFFHOOK_SIP_SILENT_REJECT", default=False)
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")

    @property
    def codecs(self) -> Codecs:
        """What is offered, in this order."""
        return tuple(dict.fromkeys(self.codec_order.split(",")))
