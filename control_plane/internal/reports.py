"""What agents report of their sessions, stored once each and in order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.recording import Recording
from control_plane.domain import events
from control_plane.domain.errors import Conflict
from control_plane.domain.prices import DEFAULTS, Prices
from control_plane.domain.transitions import AgentReleased, ConversationEnded, DialAnswered
from control_plane.domain.usage import ProviderUsage, since
from control_plane.orders import lifecycle
from control_plane.sessions import humans, leases
from control_plane.sessions.calls import Call, status_of
from control_plane.sessions.history import announce, record
from control_plane.sessions.usage import SessionUsage, earlier_parts, usage_of


class Stored(Struct, frozen=True):
    """How far a session's stream is stored, and what of it was news.

    Attributes:
        usage: beyond what was reported before.
    """

    through: int
    call: Call
    news: list[events.CallEvent]
    usage: list[ProviderUsage]


async def store(
    db: AsyncSession, session_id: str, batch: events.EventBatch, prices: Prices = DEFAULTS
) -> Stored:
    """Return how far the session's stream is stored, after storing what is new of `batch`.

    Every event renews the call's lease. A closed attempt still takes events: the recording
    and the last words come after the end.

    Raises:
        StaleEpoch: the session was taken over.
        Conflict: a number is missing between what is stored and the batch.
    """
    order, call = await leases.lock(db, session_id, epoch=batch.epoch)
    now = await read_clock(db)
    before = usage_of(call.session)
    news = []
    if call.session.closed_at is None and call.session.handed_over_at is None:
        call.session.call_lease_until = now + leases.LEASE
    for event in sorted(batch.events, key=lambda each: each.seq):
        if event.seq <= call.session.last_event_seq:
            continue
        if event.seq != call.session.last_event_seq + 1:
            raise Conflict(
                f"the next event of this session is number {call.session.last_event_seq + 1}",
                field="events",
            )
        call.session.last_event_seq = event.seq
        if isinstance(event, events.UsageCounted):
            parts = [*earlier_parts(call.session), *event.parts]
            call.session.usage = SessionUsage.priced(parts, prices).stored()
        await _apply(db, order, call, event, now=now)
        news.append(event)
    after = usage_of(call.session)
    usage = since(before.parts if before else [], after.parts if after else [])
    return Stored(call.session.last_event_seq, call, news, usage)


async def _apply(
    db: AsyncSession,
    order: CallOrder | None,
    call: Call,
    event: events.CallEvent,
    *,
    now: datetime,
) -> None:
    at = _instant(event.at, now)
    match event:
        case events.CallAnswered(sip_call_id=sip_call_id):
            await lifecycle.apply(db, order, call, DialAnswered(at=now, sip_call_id=sip_call_id))
        case events.CallEnded():
            _store(db, order, call, event, at=at, now=now)
            await lifecycle.apply(
                db,
                order,
                call,
                ConversationEnded(
                    at=now,
                    ended_by=event.ended_by,
                    end_reason=event.end_reason,
                    result=event.result,
                    detail=event.detail,
                ),
            )
        case events.CallTransferred():
            facts = {"to_phone_number": event.to_phone_number, "reason": event.reason}
            owner = order or call.session
            status = status_of(owner)
            announce(db, owner, call, "call.transferred", at=now, status=status, **facts)
        case events.AgentAlive():
            pass
        case events.HandedOver():
            _store(db, order, call, event, at=at, now=now)
            humans.agent_left(call, event.result, now)
        case events.AgentLeft():
            _store(db, order, call, event, at=at, now=now)
            await lifecycle.apply(db, order, call, AgentReleased(at=now))
        case events.AnswerDetected():
            _store(db, order, call, event, at=at, now=now)
            _answered_by(db, order, call, event, at=at)
        case events.AgentReady():
            call.session.agent_ready_at = call.session.agent_ready_at or now
            _store(db, order, call, event, at=at, now=now)
        case events.RecordingFinished():
            await _recorded(db, call, event, now)
            _store(db, order, call, event, at=at, now=now)
        case _:
            _store(db, order, call, event, at=at, now=now, is_work=False)


def _store(
    db: AsyncSession,
    order: CallOrder | None,
    call: Call,
    event: events.CallEvent,
    *,
    at: datetime,
    now: datetime,
    is_work: bool = True,
) -> None:
    facts: dict[str, Any] = msgspec.to_builtins(event)
    kind = facts.pop("type")
    del facts["at"], facts["seq"]
    owner = order or call.session
    record(db, owner, call, kind, at=at, stored_at=now, is_work=is_work, **facts)


def _answered_by(
    db: AsyncSession,
    order: CallOrder | None,
    call: Call,
    event: events.AnswerDetected,
    *,
    at: datetime,
) -> None:
    """Keep who answered; a voicemail is told once."""
    session, owner = call.session, order or call.session
    was_told = session.result is events.AttemptResult.VOICEMAIL
    session.result = event.result
    session.answer = {
        "result": event.result.value,
        "engine": event.engine[:20],
        "evidence": event.evidence[:300],
        "after_secs": event.after_s,
    }
    if event.result is events.AttemptResult.VOICEMAIL and not was_told:
        announce(db, owner, call, "call.voicemail", at=at, status=status_of(owner))


async def _recorded(
    db: AsyncSession, call: Call, event: events.RecordingFinished, now: datetime
) -> None:
    kept = await db.get(Recording, call.id)
    if kept is None:
        return  # it was never to be recorded: the history says that the agent did
    kept.finished_at, kept.duration_ms = now, event.duration_ms
    kept.sha256 = event.sha256[:64]
    kept.mix_sha256 = event.mix_sha256[:64] if event.mix_sha256 else None


def _instant(seconds: float, now: datetime) -> datetime:
    """Return the agent's time, or ours where its clock cannot be a time."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return now
