"""What happens to browser sessions and to no others; the rules of `lifecycle` for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import entries
from control_plane.db.models.session import Session
from control_plane.domain import attempt as attempts
from control_plane.domain import browser, transitions
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.browser import SessionStatus
from control_plane.domain.events import EndedBy
from control_plane.sessions import closing
from control_plane.sessions.calls import Call
from control_plane.sessions.history import announce, record
from control_plane.sessions.usage import usage_of


def status_of(session: Session) -> SessionStatus:
    """Return where a browser session stands."""
    return browser.status_of(session.status, session.end_reason)


async def asked(db: AsyncSession, call: Call, fact: transitions.SessionAsked) -> None:
    """Tell of a new session."""
    without = list(fact.without_value)
    _announce(db, call, fact, **({"without_value": without} if without else {}))


async def agent_sent(db: AsyncSession, call: Call, fact: transitions.AgentSent) -> None:
    """Note that the room is there and an agent on its way; the first one opens the session."""
    session = call.session
    session.dispatch_lease_until = session.due_at = None
    session.agent_sent_at = fact.at
    if session.closed_at is not None:
        return
    if session.status is AttemptStatus.QUEUED:
        session.status = attempts.move(session.status, AttemptStatus.RINGING)
        _announce(db, call, fact)
    else:
        record(db, session, call, "agent_sent", at=fact.at)


async def agent_released(db: AsyncSession, call: Call, fact: transitions.AgentReleased) -> None:
    """Note that the session is open without an agent, until somebody comes."""
    if call.session.closed_at is None and call.session.answered_at is None:
        call.session.agent_ended_at = fact.at
        call.session.call_lease_until = None


async def joined(db: AsyncSession, call: Call, fact: transitions.DialAnswered) -> None:
    """Tell that the person is there; it counts as a use of the key that asked for the session."""
    _announce(db, call, fact)
    if call.session.api_key_id is not None:
        await entries.use(db, call.session.api_key_id, fact.at, calls=1)


async def abandoned(db: AsyncSession, call: Call, fact: transitions.AttemptAbandoned) -> None:
    """Close a session of which nothing comes."""
    if call.session.closed_at is None:
        give_up(db, call, fact.reason, fact.detail, fact)


def give_up(db: AsyncSession, call: Call, reason: str, detail: str, fact: transitions.Fact) -> None:
    """Close a session in which nobody has spoken."""
    session = call.session
    session.ended_by, session.end_reason = EndedBy.SYSTEM, reason
    session.detail = detail or session.detail
    closing.close_unanswered(db, session, call, fact)
    _over(db, call, fact)


async def finish(db: AsyncSession, call: Call, fact: transitions.Fact) -> None:
    """Tell how it ended, and count its minutes for the key that asked for it."""
    session = call.session
    if session.api_key_id is not None and session.answered_at is not None:
        seconds = max(0.0, (fact.at - session.answered_at) / timedelta(seconds=1))
        await entries.use(db, session.api_key_id, fact.at, seconds=seconds)
    _over(db, call, fact)


def start_anew(call: Call) -> None:
    """Shut out the session's agents so far: another one is being sent, and counts from 1."""
    session = call.session
    session.epoch += 1
    session.last_event_seq = 0
    session.agent_ready_at = session.agent_ended_at = session.agent_sent_at = None
    session.brief_taken_at = session.call_lease_until = None
    if usage_of(session) is not None:  # what they used was used all the same
        session.earlier_usage = session.usage


def _over(db: AsyncSession, call: Call, fact: transitions.Fact) -> None:
    call.session.due_at = None
    _announce(db, call, fact, end_reason=call.session.end_reason, result=call.session.result)


def _announce(db: AsyncSession, call: Call, fact: transitions.Fact, **more: Any) -> None:
    status = status_of(call.session)
    announce(db, call.session, call, f"session.{status}", at=fact.at, status=status, **more)
