"""Queries on browser sessions: one, a page of them, those that need an agent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.session import Session
from control_plane.db.owned import get_own
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.browser import SessionStatus
from control_plane.domain.events import EndReason
from control_plane.orders.listing import matches
from control_plane.sessions.calls import OPEN, Call, list_calls, select_calls

_CANCELLED = Session.end_reason == EndReason.CANCELLED.value
_NOT_CANCELLED = or_(Session.end_reason.is_(None), Session.end_reason != EndReason.CANCELLED.value)
# The same as `sessions.browsers.status_of`, asked of the database.
_STATUS = {
    SessionStatus.CREATED: Session.status == AttemptStatus.QUEUED,
    SessionStatus.WAITING: Session.status == AttemptStatus.RINGING,
    SessionStatus.IN_PROGRESS: Session.status == AttemptStatus.ONGOING,
    SessionStatus.COMPLETED: Session.status == AttemptStatus.COMPLETED,
    SessionStatus.CANCELLED: and_(Session.status == AttemptStatus.ERROR, _CANCELLED),
    SessionStatus.FAILED: and_(Session.status == AttemptStatus.ERROR, _NOT_CANCELLED),
}


class Filter(Struct, frozen=True, kw_only=True):
    """Which sessions are wanted; what is null or empty does not narrow.

    Attributes:
        metadata: names and values that the session's metadata must hold.
    """

    statuses: Collection[SessionStatus] = ()
    assistant_id: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


async def get(db: AsyncSession, organization_id: str, session_id: str) -> Session:
    """Return the session.

    Raises:
        NotFound: this organization has no such browser session.
    """
    in_browser = Session.direction == Direction.BROWSER
    return await get_own(db, Session, organization_id, session_id, in_browser, what="session")


async def page(
    db: AsyncSession, organization_id: str, wanted: Filter, *, before: str | None, limit: int
) -> Sequence[Session]:
    """Return a page of sessions, newest first, older than the id `before`."""
    query = select(Session).where(
        Session.organization_id == organization_id,
        Session.direction == Direction.BROWSER,
        *_narrowed(wanted, db.get_bind().dialect.name),
    )
    if before is not None:
        query = query.where(Session.id < before)
    return (await db.scalars(query.order_by(Session.id.desc()).limit(limit))).all()


async def is_due(db: AsyncSession, *, now: datetime) -> bool:
    """Return whether an agent is to be sent to a session now."""
    return await db.scalar(select(exists().where(Session.due_at <= now))) is True


async def due(db: AsyncSession, *, now: datetime, limit: int) -> Sequence[Call]:
    """Return sessions to which an agent is to be sent now, locked; nobody else gets them."""
    some = await db.scalars(
        select(Session.id)
        .where(Session.due_at.is_not(None), Session.due_at <= now)
        .order_by(Session.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return await list_calls(db, select_calls().where(Session.id.in_(some.all())))


async def next_due(db: AsyncSession, *, now: datetime) -> datetime | None:
    """Return the next instant at which one is."""
    return await db.scalar(
        select(Session.due_at)
        .where(Session.due_at.is_not(None), Session.due_at > now)
        .order_by(Session.due_at)
        .limit(1)
    )


async def waiting(db: AsyncSession) -> Sequence[Call]:
    """Return open sessions in which nobody has spoken, and to which no agent is being sent."""
    return await list_calls(
        db,
        select_calls().where(
            *OPEN,
            Session.direction == Direction.BROWSER,
            Session.status == AttemptStatus.RINGING,
            Session.due_at.is_(None),
        ),
    )


async def over(db: AsyncSession, room_names: Collection[str]) -> set[str]:
    """Return which of these rooms are those of sessions that are over."""
    rows = await db.scalars(
        select(Session.room_name).where(
            Session.room_name.in_(room_names), Session.closed_at.is_not(None)
        )
    )
    return set(rows)


def _narrowed(wanted: Filter, dialect: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.statuses:
        found.append(or_(*(_STATUS[each] for each in wanted.statuses)))
    if wanted.assistant_id is not None:
        found.append(Session.assistant_id == wanted.assistant_id)
    if wanted.created_after is not None:
        found.append(Session.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(Session.created_at < wanted.created_before)
    found += [
        matches(Session.call_metadata, name, value, dialect) for name, value in wanted.metadata
    ]
    return found
