"""Assistants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, id_column


class Assistant(Base):
    """An assistant as it is now; `version_id` names the unchanging row of that state."""

    __tablename__ = "assistant"
    __table_args__ = (
        Index(
            "one_default_assistant",
            "organization_id",
            unique=True,
            sqlite_where=text("is_default AND deleted_at IS NULL"),
            postgresql_where=text("is_default AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    version: Mapped[int] = mapped_column(default=1)
    version_id: Mapped[str | None] = mapped_column(String(36))
    spec: Mapped[dict[str, Any]]
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class AssistantVersion(Base):
    """One state of an assistant, never changed: what an order keeps.

    `assistant_id` is null for an assistant that lives in one order only.
    """

    __tablename__ = "assistant_version"
    __table_args__ = (UniqueConstraint("assistant_id", "version"),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    assistant_id: Mapped[str | None] = mapped_column(String(36))
    version: Mapped[int]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
