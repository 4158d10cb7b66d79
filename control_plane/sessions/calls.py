"""A call as its rows hold it: its session, the leg to the person, and the attempt it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Leg, Session
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.leg import LegKind
from control_plane.domain.retry import AttemptOutcome

Owner = CallOrder | Session
"""What has a call's id, history and messages: the order, or the session that nobody ordered."""


class Call(Struct, frozen=True):
    """The rows of one conversation; `leg` is that of the person who was called, or who came.

    `attempt` is null where nothing was ordered: somebody called us, or came by a browser.
    """

    session: Session
    leg: Leg
    attempt: Attempt | None = None

    @property
    def id(self) -> str:
        """Return the session's id."""
        return self.session.id

    @property
    def in_browser(self) -> bool:
        """Return whether the person came by a browser."""
        return self.session.direction is Direction.BROWSER

    @property
    def order_id(self) -> str | None:
        """Return the order's id; null where nothing was ordered."""
        return self.attempt.order_id if self.attempt is not None else None

    @property
    def is_counted(self) -> bool:
        """Return whether it is one of the calls that the order may make."""
        return self.attempt is None or self.attempt.counted

    @property
    def outcome(self) -> AttemptOutcome:
        """Return how its dial went."""
        return AttemptOutcome(self.leg.answered_at is not None, self.leg.dial_error)

    def count(self, counted: bool) -> None:
        """Say whether it is."""
        if self.attempt is not None:
            self.attempt.counted = counted


UNORDERED = (LegKind.CALLER, LegKind.BROWSER)
"""The first legs of sessions that nobody ordered."""
FIRST_LEG = (Leg.session_id == Session.id) & Leg.kind.in_((LegKind.CALLEE, *UNORDERED))
"""The leg of the person who was called, or who came: one of each session."""
_UNFINISHED = aliased(Session)
OPEN = (
    Session.closed_at.is_(None),
    Session.id.in_(select(_UNFINISHED.id).where(_UNFINISHED.room_deleted_at.is_(None))),
)
"""What is true of a session that is not over; the second for the index alone. Said of the session
itself, SQLite begins with its leg all the same, and reads every leg that there ever was."""
LIVE = (
    *OPEN,
    or_(Session.direction != Direction.BROWSER, Session.status != AttemptStatus.QUEUED),
)
"""What is true of one that has begun and is not over; a browser session may be days away."""


def select_calls(*more: Any) -> Select[Any]:
    """Return a query of the rows of calls, ordered or not, and of what `more` names."""
    return (
        select(Session, Leg, Attempt, *more)
        .select_from(Session)
        .join(Leg, FIRST_LEG)
        .outerjoin(Attempt, Attempt.session_id == Session.id)
    )


async def list_calls(db: AsyncSession, query: Select[Any]) -> Sequence[Call]:
    """Return the calls that a query of `select_calls` finds."""
    return [Call(*row) for row in await db.execute(query)]


def status_of(owner: Owner) -> OrderStatus:
    """Return where a call stands, in an order's words."""
    if isinstance(owner, CallOrder):
        return owner.status
    if owner.closed_at is None:
        return OrderStatus.CALLING
    return OrderStatus.COMPLETED if owner.cancel_requested_at is None else OrderStatus.CANCELLED
