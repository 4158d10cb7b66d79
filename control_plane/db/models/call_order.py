"""Call orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus


class CallOrder(Base):
    """The wish to reach one number, with the assistant as it was when the order was placed."""

    __tablename__ = "call_order"
    __table_args__ = (
        # Only waiting orders have a due time, so the index stays as small as the queue.
        Index(
            "call_order_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index("call_order_listing", "organization_id", "id"),
        Index("call_order_number", "organization_id", "to_phone_number"),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    direction: Mapped[Direction] = mapped_column(Word(Direction))
    status: Mapped[OrderStatus] = mapped_column(Word(OrderStatus))
    to_phone_number: Mapped[str] = mapped_column(String(100))
    from_phone_number: Mapped[str | None] = mapped_column(String(100))
    assistant_id: Mapped[str | None] = mapped_column(String(36))
    assistant_version: Mapped[int] = mapped_column(default=0)
    spec: Mapped[dict[str, Any]]
    prompt_variables: Mapped[dict[str, Any]]
    call_metadata: Mapped[dict[str, Any]]
    force_now: Mapped[bool] = mapped_column(default=False)
    scheduled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]  # the instant of the next look; null while live or final
    not_before: Mapped[datetime | None]  # set by a back-off
    waiting_rule: Mapped[str | None] = mapped_column(String(50))
    epoch: Mapped[int] = mapped_column(default=0)
    calls_count: Mapped[int] = mapped_column(default=0)
    uncounted_in_a_row: Mapped[int] = mapped_column(default=0)
    cancel_requested_at: Mapped[datetime | None]
    event_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
