"""Attempts: the tries of an order, each a session of its own."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db.base import Base


class Attempt(Base):
    """That a session was one try at an order; a try that is not counted was no fault of theirs."""

    __tablename__ = "attempt"

    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("call_order.id"), index=True)
    ordinal: Mapped[int]
    counted: Mapped[bool] = mapped_column(default=True)
