"""Public keys: what a page starts browser sessions with."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, id_column


class PublicKey(Base):
    """A key that is no secret; what it may do is bounded by the rest of its row."""

    __tablename__ = "public_key"

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(40), unique=True)
    allowed_origins: Mapped[list[str]]  # as browsers write them
    assistant_ids: Mapped[list[str]]
    sessions_per_hour: Mapped[int]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
