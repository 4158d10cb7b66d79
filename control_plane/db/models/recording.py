"""Recordings of conversations: the files, and what became of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base, Word
from control_plane.domain.recording import RecordingState


class Recording(Base):
    """What is kept of one conversation; no row: it was never to be recorded."""

    __tablename__ = "recording"
    __table_args__ = (
        Index(
            "recording_spooling",
            "session_id",
            sqlite_where=text("state = 'spooling'"),
            postgresql_where=text("state = 'spooling'"),
        ),
        Index(
            "recording_expires",
            "expires_at",
            sqlite_where=text("expires_at IS NOT NULL"),
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
    )

    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"), primary_key=True)
    state: Mapped[RecordingState] = mapped_column(Word(RecordingState))
    finished_at: Mapped[datetime | None]  # the agent had sent everything
    duration_ms: Mapped[int | None]
    path: Mapped[str | None] = mapped_column(String(300))
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    mix_path: Mapped[str | None] = mapped_column(String(300))
    mix_size: Mapped[int | None] = mapped_column(BigInteger)
    mix_sha256: Mapped[str | None] = mapped_column(String(64))
    intact: Mapped[bool | None]  # null: nothing to compare it with
    expires_at: Mapped[datetime | None]  # null: kept until somebody deletes it
    deleted_at: Mapped[datetime | None]
