"""How a conversation is closed, whoever wanted it: its answer and its end, as its rows tell."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.recording import Recording
from control_plane.domain import attempt as attempts
from control_plane.domain import transitions
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.recording import RecordingState
from control_plane.sessions import humans
from control_plane.sessions.calls import Call, Owner
from control_plane.sessions.history import record


def note_answer(call: Call, fact: transitions.DialAnswered) -> bool:
    """Note the answer; return whether it is news."""
    session, leg = call.session, call.leg
    session.dispatch_lease_until = None
    leg.sip_call_id = fact.sip_call_id or leg.sip_call_id
    if session.closed_at is not None or session.answered_at is not None:
        return False
    session.status = attempts.move(session.status, AttemptStatus.ONGOING)
    session.answered_at = leg.answered_at = fact.at
    return True


def note_end(call: Call, fact: transitions.ConversationEnded) -> None:
    """Note the agent's last word."""
    session = call.session
    session.agent_ended_at = session.agent_ended_at or fact.at
    if session.handed_over_at is not None:  # the agent's part was over then, by its transfer
        session.result = session.result or fact.result
        session.detail = fact.detail or fact.end_reason or session.detail
        return
    session.ended_by, session.end_reason = fact.ended_by, fact.end_reason
    session.result, session.detail = fact.result, fact.detail or None


async def close_answered(
    db: AsyncSession, owner: Owner, call: Call, fact: transitions.Fact
) -> None:
    """End a conversation that took place."""
    session = call.session
    session.status = attempts.move(session.status, AttemptStatus.COMPLETED)
    session.result = session.result or AttemptResult.UNKNOWN
    if session.end_reason == EndReason.NOT_ANSWERED:
        await _correct_the_agent(db, call)
    await humans.close_all(db, session.id, fact.at)
    _close(db, owner, call, fact)


def close_unanswered(db: AsyncSession, owner: Owner, call: Call, fact: transitions.Fact) -> None:
    """End a call that nobody answered."""
    call.session.status = attempts.move(call.session.status, AttemptStatus.ERROR)
    _close(db, owner, call, fact)


async def _correct_the_agent(db: AsyncSession, call: Call) -> None:
    """Say how an answered call ended whose agent saw no answer: the SIP service knows better."""
    recording = await db.get(Recording, call.id)
    if recording is not None:
        recording.state = RecordingState.ABSENT  # it starts with the answer
    if call.session.ended_by is EndedBy.USER:  # it was hung up before the agent could see it
        call.session.end_reason = None
    else:
        call.session.end_reason = EndReason.AGENT_LOST
        call.session.detail = "the answer came when the agent had just given up waiting for it"


def _close(db: AsyncSession, owner: Owner, call: Call, fact: transitions.Fact) -> None:
    session, leg = call.session, call.leg
    session.ended_at = session.closed_at = leg.closed_at = fact.at
    session.dispatch_lease_until = session.call_lease_until = None
    record(
        db,
        owner,
        call,
        "attempt_closed",
        at=fact.at,
        attempt_status=session.status,
        dial_error=leg.dial_error,
        sip_status=leg.sip_status,
        sip_reason=leg.sip_reason,
        detail=session.detail,
        ended_by=session.ended_by,
        end_reason=session.end_reason,
        result=session.result,
        counted=call.is_counted,
    )
