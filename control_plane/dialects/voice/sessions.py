"""Calls and browser sessions as the Voice API's: found, told, filtered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, not_, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.browser import repository as browser_sessions
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Session
from control_plane.dialects.voice.schemas import RecordingView, SessionView, Status
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.browser import SessionStatus
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import parse_id
from control_plane.domain.recording import RecordingState
from control_plane.orders import repository
from control_plane.orders.schemas import AttemptView, CallView
from control_plane.orders.views import CallViews
from control_plane.sessions import browsers
from control_plane.sessions.calls import Owner

_FINAL = [status for status in OrderStatus if is_final(status)]
_ANSWERED = Session.answered_at.is_not(None)
_IN_BROWSER = {
    SessionStatus.CREATED: Status.INITIATING,
    SessionStatus.WAITING: Status.INITIATING,
    SessionStatus.IN_PROGRESS: Status.IN_PROGRESS,
    SessionStatus.COMPLETED: Status.COMPLETED,
    SessionStatus.CANCELLED: Status.FAILED,
    SessionStatus.FAILED: Status.FAILED,
}


class Wanted(Struct, frozen=True, kw_only=True):
    """Which sessions are wanted; what is null does not narrow."""

    agent_id: str | None = None
    status: Status | None = None
    start: datetime | None = None
    end: datetime | None = None


class Found(Struct, frozen=True):
    """A session: its view as a call, and its row where it is a browser's."""

    call: CallView
    browser: Session | None = None


async def page(
    db: AsyncSession,
    views: CallViews,
    organization_id: str,
    wanted: Wanted,
    *,
    limit: int,
    offset: int,
) -> list[Found]:
    """Return orders, calls that came in, and browser sessions, newest first."""
    orders = select(CallOrder.id).where(*_shared(CallOrder, organization_id, wanted))
    came_in = select(Session.id).where(
        Session.direction.in_((Direction.INBOUND, Direction.BROWSER)),
        *_shared(Session, organization_id, wanted),
    )
    if wanted.status is not None:
        orders = orders.where(_of_orders(wanted.status))
        came_in = came_in.where(_of_sessions(wanted.status))
    both = union_all(orders, came_in).subquery()
    ids = await db.scalars(select(both.c.id).order_by(both.c.id.desc()).limit(limit).offset(offset))
    keys = list(ids)
    owners = await repository.owners_of(db, keys)
    rows = [owners[key] for key in keys]
    return [_found(row, call) for row, call in zip(rows, await views.load(db, rows), strict=True)]


def _shared(
    kind: type[CallOrder] | type[Session], organization_id: str, wanted: Wanted
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [kind.organization_id == organization_id]
    if wanted.agent_id is not None:
        found.append(kind.assistant_id == wanted.agent_id)
    if wanted.start is not None:
        found.append(kind.created_at >= wanted.start)
    if wanted.end is not None:
        found.append(kind.created_at < wanted.end)
    return found


def _of_orders(status: Status) -> ColumnElement[bool]:
    def some(*conditions: Any) -> ColumnElement[bool]:
        of_order = select(1).select_from(Attempt).join(Session, Attempt.session_id == Session.id)
        return of_order.where(Attempt.order_id == CallOrder.id, *conditions).exists()

    if status is Status.IN_PROGRESS:
        return and_(
            CallOrder.status == OrderStatus.CALLING,
            some(Session.status == AttemptStatus.ONGOING, Session.closed_at.is_(None)),
        )
    reached = some(_ANSWERED) if status is Status.COMPLETED else not_(some(_ANSWERED))
    return and_(CallOrder.status.in_(_FINAL), reached)


def _of_sessions(status: Status) -> ColumnElement[bool]:
    over = Session.closed_at.is_not(None)
    if status is Status.IN_PROGRESS:
        return and_(not_(over), Session.status == AttemptStatus.ONGOING)
    return and_(over, _ANSWERED if status is Status.COMPLETED else not_(_ANSWERED))


async def get_session(
    db: AsyncSession, views: CallViews, organization_id: str, session_id: str
) -> Found:
    """Return the session.

    Raises:
        NotFound: this organization has none with that id.
    """
    try:
        key = parse_id(session_id, what="session", field="session_id")
        owner = await _owner(db, organization_id, key)
    except NotFound as exc:
        told = f"there is no session with the id {session_id[:64]!r}"
        raise NotFound(told, field="session_id") from exc
    [call] = await views.load(db, [owner])
    return _found(owner, call)


async def _owner(db: AsyncSession, organization_id: str, key: str) -> Owner:
    try:
        return await repository.get_call(db, organization_id, key)
    except NotFound:
        return await browser_sessions.get(db, organization_id, key)


def _found(owner: Owner, call: CallView) -> Found:
    is_browser = isinstance(owner, Session) and owner.direction is Direction.BROWSER
    return Found(call, owner if is_browser and isinstance(owner, Session) else None)


async def get_recording(
    db: AsyncSession, views: CallViews, organization_id: str, recording_id: str
) -> RecordingView:
    """Return a recording; its id is that of the attempt.

    Raises:
        NotFound: this organization has none with that id.
    """
    missing = NotFound(
        f"there is no recording with the id {recording_id[:64]!r}", field="recording_id"
    )
    key = parse_id(recording_id, what="recording", field="recording_id")
    row = await db.get(Session, key)
    if row is None or row.organization_id != organization_id:
        raise missing
    order_id = await db.scalar(select(Attempt.order_id).where(Attempt.session_id == key))
    call = (await get_session(db, views, organization_id, order_id or key)).call
    attempt = next((each for each in call.call_attempts if each.id == key), None)
    if attempt is None or attempt.recording_state is RecordingState.ABSENT:
        raise missing
    return RecordingView(
        recording_id=key,
        session_id=call.id,
        status=attempt.recording_state,
        url=attempt.recording_url,
        duration=_duration(attempt),
        expires_at=attempt.recording_expires_at,
    )


def view(found: Found) -> SessionView:
    """Return a session as the document has it."""
    call, browser = found.call, found.browser
    last = call.last_call_attempt
    is_recorded = last is not None and last.recording_state is not RecordingState.ABSENT
    return SessionView(
        session_id=call.id,
        agent_id=call.assistant.id,
        status=status_of(found),
        direction=call.direction if browser is None else Direction.BROWSER,
        from_number=call.from_phone_number or None,
        to_number=call.to_phone_number or None,
        context=call.prompt_variables,
        scheduled_at=call.scheduled_at if browser is None else browser.scheduled_at,
        created_at=call.created_at,
        started_at=last.answered_at if last is not None else None,
        ended_at=last.ended_at if last is not None else None,
        duration=_duration(last) if last is not None else None,
        end_reason=last.end_reason if last is not None else None,
        recording_id=last.id if last is not None and is_recorded else None,
    )


def status_of(found: Found) -> Status:
    """Return the word for where a session stands; one that was answered did not fail."""
    call = found.call
    if found.browser is not None:
        return _IN_BROWSER[browsers.status_of(found.browser)]
    if is_final(call.status):
        answered = any(each.answered_at is not None for each in call.call_attempts)
        return Status.COMPLETED if answered else Status.FAILED
    if call.status is not OrderStatus.CALLING:
        is_later = call.status is OrderStatus.SCHEDULED
        return Status.SCHEDULED if is_later else Status.INITIATING
    last = call.last_call_attempt
    words = {
        AttemptStatus.RINGING: Status.RINGING,
        AttemptStatus.ONGOING: Status.IN_PROGRESS,
        AttemptStatus.COMPLETED: Status.IN_PROGRESS,  # its books are being closed
    }
    return words.get(last.status, Status.INITIATING) if last is not None else Status.INITIATING


def _duration(attempt: AttemptView) -> float | None:
    if attempt.answered_at is None or attempt.ended_at is None:
        return None
    return (attempt.ended_at - attempt.answered_at).total_seconds()
