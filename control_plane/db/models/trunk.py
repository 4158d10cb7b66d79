"""Trunks and the numbers that belong to them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Json, Word, id_column
from control_plane.domain.refer_uri import DEFAULT

CALLS_PER_SECOND = 1.0
MAX_CONCURRENT_CALLS = 10
"""What nearly every carrier grants a new customer."""


class Purpose(StrEnum):
    """What a trunk of our own is for; a start keeps it in line with its settings."""

    SIMULATOR = "simulator"  # out: to the carrier simulator, which has the numbers of fiction
    LOCAL_LINE = "local_line"  # in: from this machine, or from the network by a login


class Trunk(Base):
    """A way into or out of the telephone network, and how far it is applied at the SIP service.

    `purpose` marks our own trunks, whatever they are called; a name is the owner's to choose.
    """

    __tablename__ = "trunk"
    __table_args__ = (Index("trunk_purpose", "organization_id", "purpose", unique=True),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    direction: Mapped[str] = mapped_column(String(10))
    purpose: Mapped[Purpose | None] = mapped_column(Word(Purpose))
    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str | None] = mapped_column(String(300))
    transport: Mapped[str] = mapped_column(String(5), default="udp")
    username: Mapped[str | None] = mapped_column(String(200))
    secret_id: Mapped[str | None] = mapped_column(ForeignKey("secret.id"))
    numbers: Mapped[list[str]]
    allowed_addresses: Mapped[list[str]]
    is_default: Mapped[bool] = mapped_column(default=False)
    calls_per_second: Mapped[float] = mapped_column(default=CALLS_PER_SECOND)
    max_concurrent_calls: Mapped[int] = mapped_column(default=MAX_CONCURRENT_CALLS)
    price_per_minute: Mapped[float] = mapped_column(default=0.0)
    takes_refer: Mapped[bool] = mapped_column(default=True)  # else a human is called instead
    refer_to: Mapped[str] = mapped_column(String(300), default=DEFAULT)  # the URI's template
    sip_trunk_id: Mapped[str | None] = mapped_column(String(100))
    sip_rule_id: Mapped[str | None] = mapped_column(String(100))
    applied_hash: Mapped[str | None] = mapped_column(String(64))
    applied_at: Mapped[datetime | None]
    apply_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Number(Base):
    """A phone number of the organization: what it is called from, and who answers it."""

    __tablename__ = "number"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    phone_number: Mapped[str] = mapped_column(String(20), unique=True)
    trunk_id: Mapped[str | None] = mapped_column(ForeignKey("trunk.id"))
    assistant_id: Mapped[str | None] = mapped_column(ForeignKey("assistant.id"))
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TrunkPace(Base):
    """How a trunk takes calls now; locked by whoever claims or dials on it.

    `recent` holds the last results, newest last: `.` the trunk took the call, `x` it did not.
    """

    __tablename__ = "trunk_pace"

    trunk_id: Mapped[str] = mapped_column(ForeignKey("trunk.id"), primary_key=True)
    invite_free_at: Mapped[datetime | None]  # before it, no further INVITE is planned
    invites: Mapped[list[int]] = mapped_column(Json)  # the last ones, µs since 1970, oldest first
    recent: Mapped[str] = mapped_column(String(20), default="")
    failures_in_a_row: Mapped[int] = mapped_column(default=0)
    blocked_until: Mapped[datetime | None]
    blocked_rule: Mapped[str | None] = mapped_column(String(50))
    stopped_at: Mapped[datetime | None]
    stopped_reason: Mapped[str | None] = mapped_column(Text)


class DestinationStop(Base):
    """A country that a trunk refuses to call (SIP 403); orders for it wait until somebody helps."""

    __tablename__ = "destination_stop"

    trunk_id: Mapped[str] = mapped_column(ForeignKey("trunk.id"), primary_key=True)
    prefix: Mapped[str] = mapped_column(String(10), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
