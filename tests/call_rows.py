"""A call's session, leg and attempt as one row, for tests that look at columns of all three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.session import Leg, Session
from control_plane.sessions.calls import Call, list_calls, select_calls


class CallRow:
    """Has every column of the three; the session's where several have it."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __getattr__(self, name: str) -> Any:
        for row in self.rows:
            if name in row.__table__.columns:
                return getattr(row, name)
        raise AttributeError(f"no row of a call has {name}")

    @property
    def rows(self) -> list[Session | Leg | Attempt]:
        """The rows that there are."""
        call = self.call
        return [row for row in (call.session, call.leg, call.attempt) if row is not None]

    def columns(self) -> dict[str, Any]:
        """Return every column's value."""
        return {
            f"{row.__tablename__}.{column.key}": getattr(row, column.key)
            for row in self.rows
            for column in row.__table__.columns
        }


async def find(db: AsyncSession, *where: ColumnElement[bool]) -> Sequence[CallRow]:
    """Return the calls that the conditions allow, the oldest attempt of each order first."""
    query = select_calls().where(*where).order_by(Attempt.order_id, Attempt.ordinal)
    return [CallRow(call) for call in await list_calls(db, query)]


async def get(db: AsyncSession, session_id: str) -> CallRow:
    """Return the call."""
    [row] = await find(db, Session.id == session_id)
    return row


async def write(db: AsyncSession, session_id: str, **fields: Any) -> None:
    """Set columns, on each of the rows that has them."""
    call = await get(db, session_id)
    for name, value in fields.items():
        owners = [row for row in call.rows if name in row.__table__.columns]
        assert owners, f"no row of a call has {name}"
        for row in owners:
            setattr(row, name, value)
