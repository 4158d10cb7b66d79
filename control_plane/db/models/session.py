"""Sessions: one conversation of an agent with a person, and the legs that bring people into it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.dial_errors import DialError
from control_plane.domain.events import AttemptResult, EndedBy
from control_plane.domain.human_leg import HumanResult
from control_plane.domain.leg import LegKind
from control_plane.domain.masks import SealedUrl


class Session(Base):
    """One conversation: who holds it and until when, and how it went."""

    __tablename__ = "session"
    __table_args__ = (
        Index(
            "session_unfinished",
            "created_at",
            sqlite_where=text("room_deleted_at IS NULL"),
            postgresql_where=text("room_deleted_at IS NULL"),
        ),
        Index("session_listing", "organization_id", "direction", "id"),
        Index(
            "session_due",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "session_by_public_key",
            "public_key_id",
            "created_at",
            sqlite_where=text("public_key_id IS NOT NULL"),
            postgresql_where=text("public_key_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    direction: Mapped[Direction] = mapped_column(Word(Direction))
    assistant_id: Mapped[str | None] = mapped_column(String(36))
    assistant_version: Mapped[int] = mapped_column(default=0)
    assistant_version_id: Mapped[str] = mapped_column(String(36))
    prompt_variables: Mapped[dict[str, Any]]
    call_metadata: Mapped[dict[str, Any]]
    status: Mapped[AttemptStatus] = mapped_column(Word(AttemptStatus))
    epoch: Mapped[int]
    room_name: Mapped[str] = mapped_column(String(300), unique=True)
    agent_identity: Mapped[str | None] = mapped_column(String(300))  # of a call that came in

    dispatch_lease_until: Mapped[datetime | None]  # the scheduler's: from claim to dial result
    call_lease_until: Mapped[datetime | None]  # the agent's, renewed by its events
    brief_taken_at: Mapped[datetime | None]
    last_event_seq: Mapped[int] = mapped_column(default=0)

    created_at: Mapped[datetime]
    agent_ready_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]  # the person and the agent could hear each other
    agent_ended_at: Mapped[datetime | None]  # the agent's last word came
    handed_over_at: Mapped[datetime | None]  # a human has answered; the agent is not needed
    ended_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]  # its final status was written
    room_deleted_at: Mapped[datetime | None]

    answer: Mapped[dict[str, Any] | None]  # who answered, by what, and since when that is known
    result: Mapped[AttemptResult | None] = mapped_column(Word(AttemptResult))
    ended_by: Mapped[EndedBy | None] = mapped_column(Word(EndedBy))
    end_reason: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(Text)

    usage: Mapped[dict[str, Any] | None]  # null: nobody knows

    # Of a session without an order; what was ordered is cancelled and told of as an order.
    cancel_requested_at: Mapped[datetime | None]
    event_count: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime]

    # Of a browser session.
    api_key_id: Mapped[str | None] = mapped_column(String(36))
    public_key_id: Mapped[str | None] = mapped_column(String(36))
    scheduled_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]  # when an agent is to be sent; null: none is to be
    agent_sent_at: Mapped[datetime | None]
    token_until: Mapped[datetime | None]  # then its token lets nobody in any more
    webhook_url: Mapped[SealedUrl | None]
    max_duration_secs: Mapped[int | None]  # null: as its assistant says
    is_recorded: Mapped[bool | None]  # null: as its assistant says
    earlier_usage: Mapped[dict[str, Any] | None]  # of agents that left before anybody came


class Leg(Base):
    """One side of a conversation: over a trunk, with one INVITE at most, or by a browser."""

    __tablename__ = "leg"
    __table_args__ = (
        Index(
            "leg_on_trunk",
            "trunk_id",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(
            "leg_open",
            "kind",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("leg_to_number", "organization_id", "to_phone_number", "dialing_at"),
    )

    id: Mapped[str] = id_column()
    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"), index=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    kind: Mapped[LegKind] = mapped_column(Word(LegKind))
    trunk_id: Mapped[str | None] = mapped_column(String(36))
    participant_identity: Mapped[str] = mapped_column(String(300))
    to_phone_number: Mapped[str] = mapped_column(String(100))
    from_phone_number: Mapped[str] = mapped_column(String(100))

    created_at: Mapped[datetime]
    invite_at: Mapped[datetime | None]  # the instant reserved on the trunk
    dialing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    dial_error: Mapped[DialError | None] = mapped_column(Word(DialError))
    sip_status: Mapped[int | None]
    sip_reason: Mapped[str | None] = mapped_column(String(300))
    sip_call_id: Mapped[str | None] = mapped_column(String(300))

    # Of a human whom the person is passed on to.
    lease_until: Mapped[datetime | None]  # the scheduler's, from its claim to the dial's result
    result: Mapped[HumanResult | None] = mapped_column(Word(HumanResult))
    reason: Mapped[str | None] = mapped_column(Text)  # why the person is passed on
    ring_secs: Mapped[int | None]  # for so long at most
    # They hear first who it is, and the call is theirs once they take it.
    is_asked_first: Mapped[bool] = mapped_column(default=False, server_default=false())
