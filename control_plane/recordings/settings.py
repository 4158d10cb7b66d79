"""What can be told about recordings by the environment."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class RecordingSettings(Struct, frozen=True):
    """Where recordings are kept, and how long their links open them."""

    url: str = msgspec.field(name="OFFHOOK_RECORDINGS_URL", default="")
    s3_endpoint: str = msgspec.field(name="OFFHOOK_S3_ENDPOINT", default="")
    access_key_id: str = msgspec.field(name="AWS_ACCESS_KEY_ID", default="")
    secret_access_key: str = msgspec.field(name="AWS_SECRET_ACCESS_KEY", default="")
    session_token: str = msgspec.field(name="AWS_SESSION_TOKEN", default="")
    region: str = msgspec.field(name="AWS_REGION", default="")
    link_hours: Annotated[int, Meta(ge=1, le=8_760)] = msgspec.field(
        name="OFFHOOK_RECORDING_LINK_HOURS", default=24
    )

    @property
    def links_live(self) -> timedelta:
        """How long a link opens its recording."""
        return timedelta(hours=self.link_hours)
