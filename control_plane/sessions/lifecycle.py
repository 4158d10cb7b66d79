"""The only writer of status where nothing was ordered: somebody called us.

The caller holds the rows (`orders.leases.hold`), so a stale owner cannot get here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.domain import transitions
from control_plane.domain.endings import Outcome, kind_of_end
from control_plane.sessions import steps
from control_plane.sessions.calls import Call, status_of
from control_plane.sessions.history import announce, record


async def apply(db: AsyncSession, call: Call, fact: transitions.AnyFact) -> None:
    """Carry `fact` into the rows of `call`; the caller commits.

    Raises:
        IllegalTransition: the fact cannot follow what is already known.
    """
    with db.no_autoflush:  # each row is written once, when all is decided
        await _RULES[type(fact)](db, call, fact)


async def _arrived(db: AsyncSession, call: Call, fact: transitions.CallArrived) -> None:
    _tell(db, call, "call.ringing", fact)


async def _answered(db: AsyncSession, call: Call, fact: transitions.DialAnswered) -> None:
    if not steps.answer(call, fact):
        return
    _tell(db, call, "call.in_progress", fact)
    if call.session.agent_ended_at is not None:  # its last word overtook the answer
        await steps.close_answered(db, call.session, call, fact)
        _finish(db, call, fact)


async def _ended(db: AsyncSession, call: Call, fact: transitions.ConversationEnded) -> None:
    if call.session.closed_at is not None:
        return
    steps.note_end(call, fact)
    if call.session.answered_at is not None:
        await steps.close_answered(db, call.session, call, fact)
    else:
        steps.close_unanswered(db, call.session, call, fact)
    _finish(db, call, fact)


async def _cancelled(db: AsyncSession, call: Call, fact: transitions.CancelRequested) -> None:
    session = call.session
    if session.closed_at is None and session.cancel_requested_at is None:
        session.cancel_requested_at = fact.at
        record(db, session, call, "cancel_requested", at=fact.at, stored_at=fact.at)


def _tell(db: AsyncSession, call: Call, kind: str, fact: transitions.Fact, **more: Any) -> None:
    status = status_of(call.session)
    announce(db, call.session, call, kind, at=fact.at, status=status, **more)


def _finish(db: AsyncSession, call: Call, fact: transitions.Fact) -> None:
    """Tell by one event how it ended."""
    leg = call.leg
    kind = kind_of_end(
        status_of(call.session), [Outcome(leg.answered_at is not None, leg.dial_error)]
    )
    told = {"dial_error": leg.dial_error, "result": call.session.result, "rule": None}
    _tell(db, call, kind, fact, **told)


_RULES: dict[type[transitions.Fact], Callable[[AsyncSession, Call, Any], Awaitable[None]]] = {
    transitions.CallArrived: _arrived,
    transitions.DialAnswered: _answered,
    transitions.ConversationEnded: _ended,
    transitions.CancelRequested: _cancelled,
}
