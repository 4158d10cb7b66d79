"""Rows of webhooks as clients see them."""

from __future__ import annotations

from control_plane.db.crypto import Vault
from control_plane.db.models.webhook import Delivery, DeliveryTry, WebhookEndpoint
from control_plane.webhooks.schemas import DeliveryView, EndpointView, TryView


def endpoint_view(vault: Vault, row: WebhookEndpoint, secret: str) -> EndpointView:
    """Return an endpoint with `secret`, whole or masked."""
    return EndpointView(
        id=row.id,
        url=vault.show_url(row.url),
        description=row.description,
        event_types=row.event_types,
        secret=secret,
        previous_secret_until=row.previous_until,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delivery_view(vault: Vault, row: Delivery) -> DeliveryView:
    """Return a delivery."""
    return DeliveryView(
        id=row.id,
        message_id=row.message_id,
        webhook_id=row.endpoint_id,
        url=vault.show_url(row.url),
        event_type=row.event_type,
        call_id=row.call_id,
        sequence=row.sequence,
        status=row.state,
        tries=row.tries,
        next_at=row.next_at,
        created_at=row.created_at,
        done_at=row.done_at,
    )


def try_view(row: DeliveryTry) -> TryView:
    """Return a try."""
    return TryView(
        number=row.number,
        at=row.at,
        duration_ms=row.duration_ms,
        status=row.status,
        error=row.error,
        body=row.body,
    )
