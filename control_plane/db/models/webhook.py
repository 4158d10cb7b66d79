"""Receivers of webhooks, the messages to them, and every try."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.db.models.history import OutboxRow
from control_plane.domain.delivery import DeliveryState
from control_plane.domain.masks import SealedUrl

_PENDING = text("next_at IS NOT NULL")


class WebhookEndpoint(Base):
    """A URL that is told of events; no event types means all of them."""

    __tablename__ = "webhook_endpoint"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    url: Mapped[SealedUrl]
    description: Mapped[str | None] = mapped_column(String(500))
    event_types: Mapped[list[str]]
    secret_id: Mapped[str] = mapped_column(ForeignKey("secret.id"))
    previous_secret_id: Mapped[str | None] = mapped_column(ForeignKey("secret.id"))
    previous_until: Mapped[datetime | None]  # until then both secrets sign
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(String(300))
    deleted_at: Mapped[datetime | None]


class WebhookSigner(Base):
    """An organization's default secret: signs what goes to the `webhook_url` of assistants."""

    __tablename__ = "webhook_signer"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    secret_id: Mapped[str] = mapped_column(ForeignKey("secret.id"))
    previous_secret_id: Mapped[str | None] = mapped_column(ForeignKey("secret.id"))
    previous_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Delivery(Base):
    """One message to one receiver; every try sends the same id and the same bytes."""

    __tablename__ = "delivery"
    __table_args__ = (
        # With the receiver, so that the rows of a busy one are passed over without being read.
        Index(
            "delivery_due", "next_at", "receiver", sqlite_where=_PENDING, postgresql_where=_PENDING
        ),
        Index("delivery_of_call", "call_id", "receiver", "sequence"),
        Index("delivery_listing", "organization_id", "id"),
        Index("delivery_of_endpoint", "endpoint_id", "id"),
    )

    id: Mapped[str] = id_column()
    message_id: Mapped[str] = mapped_column(String(50))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    # Null: an assistant's webhook_url.
    endpoint_id: Mapped[str | None] = mapped_column(ForeignKey("webhook_endpoint.id"))
    url: Mapped[SealedUrl]  # follows the endpoint's while it is pending
    receiver: Mapped[str] = mapped_column(String(400))  # who shares a limit and an order
    event_type: Mapped[str] = mapped_column(String(50))
    call_id: Mapped[str | None] = mapped_column(String(36))
    sequence: Mapped[int | None]
    state: Mapped[DeliveryState] = mapped_column(Word(DeliveryState))
    tries: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)  # since the first try or the last replay
    claim: Mapped[int] = mapped_column(default=0)  # rises with every claim; fences its result
    next_at: Mapped[datetime | None]  # of a try; during one, the claim's end; null: not pending
    payload: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class DeliveryTry(Base):
    """One request of a delivery and what came back."""

    __tablename__ = "delivery_try"
    __table_args__ = (Index("delivery_try_number", "delivery_id", "number", unique=True),)

    id: Mapped[str] = id_column()
    delivery_id: Mapped[str] = mapped_column(ForeignKey("delivery.id"))
    number: Mapped[int]
    at: Mapped[datetime]
    duration_ms: Mapped[int]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(300))
    body: Mapped[str | None] = mapped_column(Text)  # the beginning of the answer's


# Following an organization's events reads the outbox in order.
Index("outbox_feed", OutboxRow.organization_id, OutboxRow.id)
