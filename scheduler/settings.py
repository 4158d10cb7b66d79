"""What the scheduler can be told by its environment."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class SchedulerSettings(Struct, frozen=True):
    """Limits of the scheduler's work."""

    agent_ready_timeout_s: Annotated[float, Meta(gt=0)] = msgspec.field(
        name="OFFHOOK_AGENT_READY_TIMEOUT", default=15.0
    )
    # livekit-server ends a request that waits for an answer after 80 s.
    ringing_timeout_s: Annotated[int, Meta(ge=5, le=75)] = msgspec.field(
        name="OFFHOOK_RINGING_TIMEOUT", default=45
    )
    max_dispatching: Annotated[int, Meta(ge=1)] = msgspec.field(
        name="OFFHOOK_MAX_DISPATCHING", default=50
    )
    message_days: Annotated[int, Meta(ge=4)] = msgspec.field(
        name="OFFHOOK_MESSAGE_DAYS", default=30
    )
    recording_days: Annotated[int, Meta(ge=0, le=36_500)] = msgspec.field(
        name="OFFHOOK_RECORDING_DAYS", default=0
    )
    log_level: str = msgspec.field(name="OFFHOOK_LOG_LEVEL", default="INFO")
    log_pii: bool = msgspec.field(name="OFFHOOK_LOG_PII", default=False)

    @property
    def messages_kept(self) -> timedelta:
        """How long sent messages are kept; a delivery may take a little over three days itself."""
        return timedelta(days=self.message_days)
