"""Attempts: one INVITE at most, or one inbound call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.dial_errors import DialError
from control_plane.domain.events import AttemptResult, EndedBy


class Attempt(Base):
    """One try, who holds it and until when, and how it went."""

    __tablename__ = "attempt"
    __table_args__ = (
        Index(
            "attempt_unfinished",
            "created_at",
            sqlite_where=text("room_deleted_at IS NULL"),
            postgresql_where=text("room_deleted_at IS NULL"),
        ),
        Index(
            "attempt_on_trunk",
            "trunk_id",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("attempt_to_number", "organization_id", "to_phone_number", "dialing_at"),
    )

    id: Mapped[str] = id_column()
    order_id: Mapped[str] = mapped_column(ForeignKey("call_order.id"), index=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    ordinal: Mapped[int]
    counted: Mapped[bool] = mapped_column(default=True)
    status: Mapped[AttemptStatus] = mapped_column(Word(AttemptStatus))
    epoch: Mapped[int]
    room_name: Mapped[str] = mapped_column(String(300), unique=True)
    participant_identity: Mapped[str] = mapped_column(String(300))
    agent_identity: Mapped[str | None] = mapped_column(String(300))  # of a call that came in
    to_phone_number: Mapped[str] = mapped_column(String(100))
    from_phone_number: Mapped[str] = mapped_column(String(100))
    trunk_id: Mapped[str | None] = mapped_column(String(36))

    dispatch_lease_until: Mapped[datetime | None]  # the scheduler's: from claim to dial result
    call_lease_until: Mapped[datetime | None]  # the agent's, renewed by its events
    brief_taken_at: Mapped[datetime | None]
    last_event_seq: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime]
    agent_ready_at: Mapped[datetime | None]
    invite_at: Mapped[datetime | None]  # the instant reserved on the trunk
    dialing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    agent_ended_at: Mapped[datetime | None]  # the agent's last word came
    ended_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]  # its final status was written
    room_deleted_at: Mapped[datetime | None]

    dial_error: Mapped[DialError | None] = mapped_column(Word(DialError))
    sip_status: Mapped[int | None]
    sip_reason: Mapped[str | None] = mapped_column(String(300))
    sip_call_id: Mapped[str | None] = mapped_column(String(300))
    result: Mapped[AttemptResult | None] = mapped_column(Word(AttemptResult))
    ended_by: Mapped[EndedBy | None] = mapped_column(Word(EndedBy))
    end_reason: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(Text)

    usage: Mapped[dict[str, Any] | None]  # null: nobody knows
