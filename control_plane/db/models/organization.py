"""Organizations, their API keys, and the secrets they entrust to us."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Json, id_column
from control_plane.domain.masks import SealedUrl


class Organization(Base):
    """Owner of everything else."""

    __tablename__ = "organization"

    id: Mapped[str] = id_column()
    name: Mapped[str] = mapped_column(String(200), unique=True)
    default_timezone: Mapped[str | None] = mapped_column(String(60))
    allowed_countries: Mapped[list[str] | None] = mapped_column(Json)  # null: of its own numbers
    allowed_number_types: Mapped[list[str]] = mapped_column(default=list)  # beside ordinary ones
    consent_required: Mapped[bool] = mapped_column(default=False)
    attempts_per_day: Mapped[int | None]  # to one number, in the callee's day
    suspended_at: Mapped[datetime | None]  # since then it makes and takes no new call
    created_at: Mapped[datetime]


class ApiKey(Base):
    """A key for the API: found by its public prefix, proven by its hash, never stored whole."""

    __tablename__ = "api_key"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    requests_per_minute: Mapped[int | None]
    calls_per_day: Mapped[int | None]
    minutes_per_day: Mapped[int | None]
    spend_per_day: Mapped[float | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]  # may lie ahead: a rotated key works until then


class Secret(Base):
    """A value encrypted at rest; others refer to it by id, so that a rotation reaches them all."""

    __tablename__ = "secret"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    ciphertext: Mapped[str] = mapped_column(Text)
    hint: Mapped[str] = mapped_column(String(4))  # shown after the mask, to tell secrets apart
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ProviderKey(Base):
    """How an organization reaches a cloud provider of models or voices."""

    __tablename__ = "provider_key"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    name: Mapped[str] = mapped_column(String(50))
    secret_id: Mapped[str] = mapped_column(ForeignKey("secret.id"))
    api_url: Mapped[SealedUrl | None]
    updated_at: Mapped[datetime]
