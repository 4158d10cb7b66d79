"""Where the simulated carrier listens and what it writes."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct


class CarrierSettings(Struct, frozen=True, kw_only=True):
    """The simulator's settings; every default is loopback.

    Attributes:
        port: SIP over UDP, for INVITEs.
        ua_port: the phones behind it; dialogs go there directly.
        rtp_port_min, rtp_port_max: RTP and RTCP of all phones.
        log: the witness's file; `carrier-invites.jsonl` in the data folder's `log` when unset.
        health_port: HTTP, `GET /healthz` and `GET /numbers`.
        show_pii: whether standard error shows numbers and words.
    """

    host: str = msgspec.field(name="OFFHOOK_CARRIER_HOST", default="127.0.0.1")
    port: int = msgspec.field(name="OFFHOOK_CARRIER_PORT", default=5090)
    ua_port: int = msgspec.field(name="OFFHOOK_CARRIER_UA_PORT", default=5091)
    rtp_port_min: int = msgspec.field(name="OFFHOOK_CARRIER_RTP_PORT_MIN", default=21_000)
    rtp_port_max: int = msgspec.field(name="OFFHOOK_CARRIER_RTP_PORT_MAX", default=21_399)
    log: str | None = msgspec.field(name="OFFHOOK_CARRIER_LOG", default=None)
    health_port: int = msgspec.field(name="OFFHOOK_CARRIER_HEALTH_PORT", default=5099)
    data: str = msgspec.field(name="OFFHOOK_DATA", default="./data")
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")
    show_pii: bool = msgspec.field(name="OFFHOOK_LOG_PII", default=False)

    @property
    def witness_path(self) -> Path:
        """Return where the witness writes."""
        return Path(self.log) if self.log else Path(self.data) / "log" / "carrier-invites.jsonl"

    @property
    def phone_rtp(self) -> range:
        """Return the talking phones' three quarters of the RTP ports."""
        return range(self.rtp_port_min, self._split)

    @property
    def uas_rtp(self) -> range:
        """Return the plain user agent's quarter of the RTP ports."""
        return range(self._split, self.rtp_port_max + 1)

    @property
    def _split(self) -> int:
        middle = self.rtp_port_min + (self.rtp_port_max + 1 - self.rtp_port_min) * 3 // 4
        return middle - middle % 2  # RTP is even, its RTCP the odd port above
