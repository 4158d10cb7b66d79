"""What somebody wants: a call to a number. Whatever takes orders translates into this."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.calling_times import CallRetryConfig
from control_plane.domain.masks import SealedUrl


class ConcurrencyLimit(Struct, frozen=True):
    """At most `max` live calls among the orders that share `key`, judged by each order's own."""

    key: str
    max: int


class EventReceiver(Struct, frozen=True):
    """An address that is told of an order's events, of these types alone."""

    url: SealedUrl
    types: tuple[str, ...]


class OrderRequest(Struct, frozen=True, kw_only=True):
    """One call that somebody wants.

    `assistant_id` speaks, at its version `version_id` where that was chosen before; else
    `assistant`, which lives in this order only; else the organization's default one. Without
    `call_retry_config` the assistant's own times apply.
    """

    organization_id: str
    api_key_id: str | None
    phone_number: str
    from_phone_number: str | None = None
    assistant_id: str | None = None
    version_id: str | None = None
    assistant: AssistantSpec | None = None
    call_retry_config: CallRetryConfig | None = None
    concurrency: ConcurrencyLimit | None = None
    force_now: bool = False
    scheduled_at: datetime | None = None
    campaign_id: str | None = None
    events_to: EventReceiver | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    prompt_variables: dict[str, str] = msgspec.field(default_factory=dict)
