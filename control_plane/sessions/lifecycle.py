"""The only writer of status where nothing was ordered: somebody called us, or came by a browser.

The caller holds the rows (`sessions.leases.lock`), so a stale owner cannot get here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.domain import transitions
from control_plane.domain.events import EndedBy, EndReason
from control_plane.domain.retry import end_event
from control_plane.sessions import browsers, closing
from control_plane.sessions.calls import Call, status_of
from control_plane.sessions.history import announce, record


async def apply(db: AsyncSession, call: Call, fact: transitions.Fact) -> None:
    """Carry `fact` into the rows of `call`; the caller commits.

    Raises:
        IllegalTransition: the fact cannot follow what is already known.
    """
    with db.no_autoflush:  # each row is written once, when all is decided
        await _RULES[type(fact)](db, call, fact)


async def _arrived(db: AsyncSession, call: Call, fact: transitions.CallArrived) -> None:
    _announce(db, call, "call.ringing", fact)


async def _answered(db: AsyncSession, call: Call, fact: transitions.DialAnswered) -> None:
    if not closing.note_answer(call, fact):
        return
    if call.in_browser:
        await browsers.joined(db, call, fact)
    else:
        _announce(db, call, "call.in_progress", fact)
    if call.session.agent_ended_at is not None:  # its last word overtook the answer
        await closing.close_answered(db, call.session, call, fact)
        await _finish(db, call, fact)


async def _ended(db: AsyncSession, call: Call, fact: transitions.ConversationEnded) -> None:
    if call.session.closed_at is not None:
        return
    closing.note_end(call, fact)
    if call.session.cancel_requested_at is not None and _is_of_the_room(fact):
        call.session.end_reason = EndReason.CANCELLED  # the room was closed because of that
    if call.session.answered_at is not None:
        await closing.close_answered(db, call.session, call, fact)
    else:
        closing.close_unanswered(db, call.session, call, fact)
    await _finish(db, call, fact)


async def _cancelled(db: AsyncSession, call: Call, fact: transitions.CancelRequested) -> None:
    session = call.session
    if session.closed_at is not None or session.cancel_requested_at is not None:
        return
    session.cancel_requested_at = fact.at
    record(db, session, call, "cancel_requested", at=fact.at)
    if call.in_browser and session.answered_at is None:  # nobody is cut off
        browsers.give_up(db, call, EndReason.CANCELLED, "", fact)


def _is_of_the_room(fact: transitions.ConversationEnded) -> bool:
    return fact.ended_by is EndedBy.SYSTEM and fact.end_reason is None


def _announce(db: AsyncSession, call: Call, kind: str, fact: transitions.Fact, **more: Any) -> None:
    status = status_of(call.session)
    announce(db, call.session, call, kind, at=fact.at, status=status, **more)


async def _finish(db: AsyncSession, call: Call, fact: transitions.Fact) -> None:
    """Tell by one event how it ended."""
    if call.in_browser:
        await browsers.finish(db, call, fact)
        return
    kind = end_event(status_of(call.session), [call.outcome])
    told = {"dial_error": call.leg.dial_error, "result": call.session.result, "rule": None}
    _announce(db, call, kind, fact, **told)


_RULES: dict[type[transitions.Fact], Callable[[AsyncSession, Call, Any], Awaitable[None]]] = {
    transitions.CallArrived: _arrived,
    transitions.SessionAsked: browsers.asked,
    transitions.AgentSent: browsers.agent_sent,
    transitions.AgentReleased: browsers.agent_released,
    transitions.AttemptAbandoned: browsers.abandoned,
    transitions.DialAnswered: _answered,
    transitions.ConversationEnded: _ended,
    transitions.CancelRequested: _cancelled,
}
