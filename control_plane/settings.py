"""What the control plane can be told by its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from control_plane.recordings.settings import RecordingSettings
from control_plane.widget.settings import TryAccess
from process.addresses import HttpSettings
from sip.settings import LiveKitSettings


class StorageSettings(Struct, frozen=True):
    """Where rows, keys and files live."""

    data: str = msgspec.field(name="OFFHOOK_DATA", default="./data")
    database_url: str = msgspec.field(name="OFFHOOK_DATABASE_URL", default="")

    @property
    def folder(self) -> Path:
        """Return the data folder."""
        return Path(self.data).absolute()

    @property
    def url(self) -> str:
        """Return the database's URL; SQLite in the data folder unless told otherwise."""
        return self.database_url or f"sqlite+aiosqlite:///{self.folder / 'offhook.db'}"

    @property
    def wake_folder(self) -> Path:
        """Return the folder of the wake-up sockets."""
        return self.folder / "run" / "wake"


class ApiSettings(Struct, frozen=True):
    """The listeners, and the installation's first rows."""

    host: str = msgspec.field(name="OFFHOOK_API_HOST", default="127.0.0.1")
    port: int = msgspec.field(name="OFFHOOK_API_PORT", default=7900)
    public_url: str = msgspec.field(name="OFFHOOK_API_URL", default="")
    internal_host: str = msgspec.field(name="OFFHOOK_INTERNAL_HOST", default="127.0.0.1")
    internal_port: int = msgspec.field(name="OFFHOOK_INTERNAL_PORT", default=7901)
    worker_health_url: str = msgspec.field(
        name="OFFHOOK_WORKER_HEALTH_URL", default="http://127.0.0.1:7891/worker"
    )
    embedded: bool = msgspec.field(name="OFFHOOK_EMBEDDED", default=False)
    carrier_address: str = msgspec.field(name="OFFHOOK_CARRIER_ADDRESS", default="127.0.0.1:5090")
    requests_per_minute: Annotated[int, Meta(ge=1)] = msgspec.field(
        name="OFFHOOK_REQUESTS_PER_MINUTE", default=60_000
    )
    sip_lan_username: str = msgspec.field(name="OFFHOOK_SIP_LAN_USERNAME", default="")
    sip_lan_password: str = msgspec.field(name="OFFHOOK_SIP_LAN_PASSWORD", default="")
    livekit_public_url: str = msgspec.field(name="OFFHOOK_LIVEKIT_PUBLIC_URL", default="")
    try_page: TryAccess = msgspec.field(name="OFFHOOK_TRY_PAGE", default=TryAccess.LOOPBACK)
    prices: str = msgspec.field(name="OFFHOOK_PRICES", default="")
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")
    log_pii: bool = msgspec.field(name="OFFHOOK_LOG_PII", default=False)

    @property
    def url(self) -> str:
        """Return the address at which clients reach the API."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class Settings(Struct, frozen=True):
    """Everything, by concern."""

    storage: StorageSettings
    api: ApiSettings
    livekit: LiveKitSettings
    outbound: HttpSettings = HttpSettings()
    recordings: RecordingSettings = RecordingSettings()
