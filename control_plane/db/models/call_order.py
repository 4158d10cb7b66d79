"""Call orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.domain.call_order import OrderStatus


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


class CallOrder(Base):
    """The request to reach one number, with the assistant as it was when the order was placed.

    `trunk_id` is the lane the order waits in: the trunk it would take now, looked up again when
    it is claimed. `deadline_at` is null once the order is final.
    """

    __tablename__ = "call_order"
    __table_args__ = (
        # Only waiting orders have a due time, so the index stays as small as the queue.
        _partial("call_order_lane", "trunk_id", "due_at", where="due_at IS NOT NULL"),
        _partial("call_order_deadline", "deadline_at", where="deadline_at IS NOT NULL"),
        _partial(
            "call_order_key",
            "organization_id",
            "concurrency_key",
            "status",
            where="concurrency_key IS NOT NULL AND deadline_at IS NOT NULL",
        ),
        # One key may have a million orders parked for a slot: its oldest is one probe away.
        _partial(
            "call_order_slot",
            "organization_id",
            "concurrency_key",
            "id",
            where="waiting_rule = 'concurrency' AND due_at IS NULL",
        ),
        # Looked for at each change, though almost never there.
        _partial(
            "call_order_suspended",
            "organization_id",
            "id",
            where="waiting_rule = 'organization_suspended' AND due_at IS NULL",
        ),
        _partial("call_order_campaign", "campaign_id", "status", where="campaign_id IS NOT NULL"),
        Index("call_order_listing", "organization_id", "id"),
        Index("call_order_number", "organization_id", "to_phone_number"),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    status: Mapped[OrderStatus] = mapped_column(Word(OrderStatus))
    to_phone_number: Mapped[str] = mapped_column(String(100))
    from_phone_number: Mapped[str | None] = mapped_column(String(100))
    assistant_id: Mapped[str | None] = mapped_column(String(36))
    assistant_version: Mapped[int] = mapped_column(default=0)
    # Never null, and a row of assistant_version; SQLite cannot add a column that says so.
    assistant_version_id: Mapped[str] = mapped_column(String(36), nullable=True)
    api_key_id: Mapped[str | None] = mapped_column(String(36))
    campaign_id: Mapped[str | None] = mapped_column(String(36))
    trunk_id: Mapped[str | None] = mapped_column(String(36))
    retry_config: Mapped[dict[str, Any]]
    zones: Mapped[list[str]]  # the callee's plausible time zones
    concurrency_key: Mapped[str | None] = mapped_column(String(200))
    concurrency_max: Mapped[int | None] = mapped_column(BigInteger)
    prompt_variables: Mapped[dict[str, Any]]
    call_metadata: Mapped[dict[str, Any]]
    events_to: Mapped[dict[str, Any] | None]  # an EventReceiver
    force_now: Mapped[bool] = mapped_column(default=False)
    scheduled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]  # the instant of the next look; null while live or final
    not_before: Mapped[datetime | None]  # set by a back-off or a retry delay
    not_before_rule: Mapped[str | None] = mapped_column(String(50))
    deadline_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    waiting_rule: Mapped[str | None] = mapped_column(String(50))
    epoch: Mapped[int] = mapped_column(default=0)
    calls_count: Mapped[int] = mapped_column(default=0)
    uncounted_in_a_row: Mapped[int] = mapped_column(default=0)
    cancel_requested_at: Mapped[datetime | None]
    event_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
