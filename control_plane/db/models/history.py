"""What happened, append-only, and what others must be told of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, id_column


class CallEventRow(Base):
    """One happening of a call; `sequence` rises by one per call.

    `call_id` is the order's id, or the session's where nothing was ordered.
    """

    __tablename__ = "call_event"
    __table_args__ = (Index("call_event_of_call", "call_id", "sequence", unique=True),)

    id: Mapped[str] = id_column()
    call_id: Mapped[str] = mapped_column(String(36))
    session_id: Mapped[str | None] = mapped_column(ForeignKey("session.id"), index=True)
    sequence: Mapped[int]
    type: Mapped[str] = mapped_column(String(50))
    at: Mapped[datetime]  # when it happened, by the clock of who saw it
    stored_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class OutboxRow(Base):
    """A message for the outside, written with the change it tells of; no call: of a campaign."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "outbox_pending",
            "id",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    call_id: Mapped[str | None] = mapped_column(String(36))
    sequence: Mapped[int]
    type: Mapped[str] = mapped_column(String(50))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Heartbeat(Base):
    """The last sign of life of a process."""

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    kind: Mapped[str] = mapped_column(String(30))
    at: Mapped[datetime]
