"""Whom not to call, who agreed, what a key has spent; and answers kept for a repeat."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, id_column


class DoNotCall(Base):
    """A number that this organization never calls."""

    __tablename__ = "do_not_call"
    __table_args__ = (Index("do_not_call_number", "organization_id", "phone_number", unique=True),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    phone_number: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(30))  # api, or the SIP answer that asked for it
    created_at: Mapped[datetime]


class Consent(Base):
    """A person's agreement to be called; the last one that was not revoked counts."""

    __tablename__ = "consent"
    __table_args__ = (Index("consent_number", "organization_id", "phone_number"),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    phone_number: Mapped[str] = mapped_column(String(100))
    basis: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class KeyUsage(Base):
    """What one API key has used on one day, UTC."""

    __tablename__ = "key_usage"

    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_key.id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    calls: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    spend: Mapped[float] = mapped_column(default=0.0)


class IdempotentAnswer(Base):
    """The answer to a request that carried an Idempotency-Key."""

    __tablename__ = "idempotent_answer"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    operation: Mapped[str] = mapped_column(String(50))
    body_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    answer: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditEntry(Base):
    """Who changed what; append-only."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("audit_entry_listing", "organization_id", "id"),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    api_key_id: Mapped[str | None] = mapped_column(String(36))
    operation: Mapped[str] = mapped_column(String(50))
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(String(300))
    status: Mapped[int]
    at: Mapped[datetime]
    size: Mapped[int] = mapped_column(BigInteger)
