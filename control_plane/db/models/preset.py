"""Voices, models and prompts that are kept by themselves, to be named instead of spelled out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word, id_column
from control_plane.domain.preset import PresetKind


class Preset(Base):
    """A part of an assistant with a name; the secrets in `value` are references."""

    __tablename__ = "preset"
    __table_args__ = (Index("preset_listing", "organization_id", "kind", "id"),)

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    kind: Mapped[PresetKind] = mapped_column(Word(PresetKind))
    name: Mapped[str] = mapped_column(String(200))
    value: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
