"""Jobs of the after-call worker: they wait for one, and are done at most twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Json, Word, id_column
from control_plane.domain.job import JobKind

_OPEN = text("done_at IS NULL")


class JobRow(Base):
    """One job; `takes` counts the workers that took it and fences their reports."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_open", "created_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("job_organization", "organization_id", "created_at"),
    )

    id: Mapped[str] = id_column()
    organization_id: Mapped[str] = mapped_column(ForeignKey("organization.id"))
    kind: Mapped[JobKind] = mapped_column(Word(JobKind))
    assistant_id: Mapped[str | None] = mapped_column(ForeignKey("assistant.id"))
    version_id: Mapped[str | None] = mapped_column(ForeignKey("assistant_version.id"))
    preview: Mapped[dict[str, Any] | None] = mapped_column(Json)  # the voice and its sentence
    takes: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    results: Mapped[list[Any]] = mapped_column(Json)
    sound: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
