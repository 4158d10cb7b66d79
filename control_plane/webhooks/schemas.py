"""What clients say and see of webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from control_plane.domain.delivery import DeliveryState

Url = Annotated[str, Meta(min_length=1, max_length=2_000, examples=["https://example.com/hook"])]
Description = Annotated[str, Meta(max_length=500)]
EventType = Annotated[str, Meta(max_length=50, examples=["call.completed"])]
EventTypes = Annotated[list[EventType], Meta(max_length=50)]


class EndpointCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL to be told of events; no `event_types` means every one, `call.*` those of calls."""

    url: Url
    description: Description | None = None
    event_types: EventTypes = []


class EndpointPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to an endpoint; what is absent stays."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    event_types: EventTypes | UnsetType = UNSET


class EndpointView(Struct, frozen=True, kw_only=True):
    """An endpoint. `secret` is whole only where it has just been made, masked everywhere else.

    Until `previous_secret_until`, messages carry a signature by the secret before it, too.
    """

    id: str
    url: str
    description: str | None
    event_types: list[str]
    secret: str
    previous_secret_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class EndpointList(Struct, frozen=True):
    """Every endpoint, newest first."""

    webhooks: list[EndpointView]


class SigningSecret(Struct, frozen=True, kw_only=True):
    """The secret that signs what goes to the `webhook_url` of assistants."""

    secret: str
    previous_secret_until: datetime | None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One message to one receiver; `webhook_id` is null for an assistant's own URL.

    `id` names the delivery here, `message_id` is what the receiver sees as `webhook-id`.
    """

    id: str
    message_id: str
    webhook_id: str | None
    url: str
    event_type: str
    call_id: str | None
    sequence: int | None
    status: DeliveryState
    tries: int
    next_at: datetime | None
    created_at: datetime
    done_at: datetime | None


class DeliveryPage(Struct, frozen=True):
    """Deliveries, newest first; `next_cursor` is null on the last page."""

    deliveries: list[DeliveryView]
    next_cursor: str | None


class TryView(Struct, frozen=True, kw_only=True):
    """One request: the status and the beginning of the body that came back, or why none did."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    body: str | None


class DeliveryDetail(Struct, frozen=True, kw_only=True):
    """A delivery with the bytes that every try sends, and its tries, oldest first."""

    delivery: DeliveryView
    payload: str
    tries: list[TryView]


class Replayed(Struct, frozen=True):
    """How many deliveries begin anew."""

    replayed: int


class OutgoingEvent(Struct, frozen=True, kw_only=True):
    """An event as endpoints get it."""

    type: str
    timestamp: datetime
    id: str
    sequence: int
    data: dict[str, Any]


class EventFeed(Struct, frozen=True, kw_only=True):
    """Events, oldest first; `next_after` continues after the last one, null when there is none."""

    events: list[OutgoingEvent]
    next_after: str | None
