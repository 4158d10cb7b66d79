"""Legs of humans whom people are passed on to: asked for by agents, dialled by the scheduler.

A leg has one INVITE at most: its row is there before it, and `dialing_at` is written once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from control_plane.db.models.session import Leg, Session
from control_plane.db.models.trunk import Trunk
from control_plane.domain import browser
from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.human_leg import HumanAsked, HumanResult, HumanState, HumanView
from control_plane.domain.leg import LegKind
from control_plane.domain.transfer_targets import RINGING_S
from control_plane.sessions.calls import OPEN, Call, Owner, select_calls, status_of
from control_plane.sessions.history import announce, record
from control_plane.sessions.leases import LEASE

_IS_HUMAN = Leg.kind == LegKind.HUMAN


def identity(leg_id: str) -> str:
    """Return the identity that the human gets in the conversation's room."""
    return f"human-{leg_id}"


async def request(
    db: AsyncSession,
    owner: Owner,
    call: Call,
    asked: HumanAsked,
    *,
    ring_secs: int = RINGING_S,
    now: datetime,
) -> Leg:
    """Return the leg of a human who is asked in; the same one when it is asked for again.

    The caller holds the call (`leases.lock`).

    Raises:
        Conflict: nobody talks on the call, or another human is being asked in.
    """
    known = await db.scalar(select(Leg).where(Leg.id == asked.id))
    if known is not None:
        return _own(known, call.id)
    session = call.session
    if session.answered_at is None or session.closed_at is not None:
        raise Conflict("nobody is on the line who could be passed on")
    if await open_of(db, call.id) is not None:
        raise Conflict("the person is being passed on already")
    leg = Leg(
        id=asked.id,
        session_id=call.id,
        organization_id=session.organization_id,
        kind=LegKind.HUMAN,
        participant_identity=identity(asked.id),
        to_phone_number=asked.to_phone_number,
        from_phone_number="",  # the scheduler's choice, as is the trunk
        created_at=now,
        reason=asked.reason[:500],
        ring_secs=ring_secs,
        is_asked_first=asked.is_asked_first,
    )
    db.add(leg)
    to = asked.to_phone_number
    why: dict[str, Any] = {"reason": asked.reason, "because": asked.because}
    record(db, owner, call, "human_asked", at=now, to_phone_number=to, **why)
    return leg


async def get(db: AsyncSession, session_id: str, leg_id: str) -> Leg:
    """Return a human's leg of the session.

    Raises:
        NotFound: it has none with that id.
    """
    leg = await db.scalar(select(Leg).where(Leg.id == leg_id))
    if leg is None:
        raise NotFound("the session has no such leg", field="id")
    return _own(leg, session_id)


def _own(leg: Leg, session_id: str) -> Leg:
    if leg.session_id != session_id or leg.kind is not LegKind.HUMAN:
        raise NotFound("the session has no such leg", field="id")
    return leg


async def open_of(db: AsyncSession, session_id: str) -> Leg | None:
    """Return the human's leg that is not over, locked until the transaction ends."""
    row: Leg | None = await db.scalar(
        select(Leg)
        .where(Leg.session_id == session_id, _IS_HUMAN, Leg.closed_at.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return row


async def to_dial(db: AsyncSession, now: datetime) -> Sequence[Leg]:
    """Return the legs that wait for their INVITE and that no scheduler holds."""
    rows = await db.scalars(
        select(Leg).where(
            _IS_HUMAN,
            Leg.closed_at.is_(None),
            Leg.dialing_at.is_(None),
            or_(Leg.lease_until.is_(None), Leg.lease_until < now),
        )
    )
    return rows.all()


async def is_any_open(db: AsyncSession) -> bool:
    """Return whether there is a human's leg that is not over."""
    found = await db.scalar(select(Leg.id).where(_IS_HUMAN, Leg.closed_at.is_(None)).limit(1))
    return found is not None


async def forsaken(db: AsyncSession, now: datetime) -> Sequence[tuple[Leg, str]]:
    """Return the legs whose dial's result nobody wrote down in time, and the room of each."""
    rows = await db.execute(
        select(Leg, Session.room_name)
        .join(Session, Session.id == Leg.session_id)
        .where(
            _IS_HUMAN,
            Leg.closed_at.is_(None),
            Leg.dialing_at.is_not(None),
            Leg.answered_at.is_(None),
            or_(Leg.lease_until.is_(None), Leg.lease_until < now),
        )
    )
    return [(leg, room_name) for leg, room_name in rows]


async def without_a_call(db: AsyncSession) -> Sequence[str]:
    """Return the rooms of conversations that are over while a human's phone may still ring."""
    rows = await db.scalars(
        select(Session.room_name)
        .join(Leg, Leg.session_id == Session.id)
        .where(
            _IS_HUMAN,
            Leg.closed_at.is_(None),
            Leg.dialing_at.is_not(None),
            Session.closed_at.is_not(None),
        )
    )
    return rows.all()


async def talks(db: AsyncSession) -> Sequence[tuple[Call, str]]:
    """Return the conversations that go on without an agent, and the human's identity in each."""
    human = aliased(Leg)
    query = (
        select_calls(human.participant_identity)
        .join(human, human.session_id == Session.id)
        .where(
            *OPEN,
            Session.handed_over_at.is_not(None),
            human.kind == LegKind.HUMAN,
            human.closed_at.is_(None),
        )
    )
    rows = await db.execute(query)
    return [(Call(session, leg, attempt), who) for session, leg, attempt, who in rows]


async def claim(db: AsyncSession, leg_id: str, now: datetime) -> bool:
    """Take a leg to dial it; return whether it is ours."""
    done = await db.execute(
        update(Leg)
        .where(
            Leg.id == leg_id,
            Leg.closed_at.is_(None),
            Leg.dialing_at.is_(None),
            or_(Leg.lease_until.is_(None), Leg.lease_until < now),
        )
        .values(lease_until=now + LEASE)
        .returning(Leg.id)
        .execution_options(synchronize_session=False)
    )
    return done.one_or_none() is not None


async def renew(db: AsyncSession, leg_ids: Collection[str], *, now: datetime) -> None:
    """Keep the legs that a living scheduler dials."""
    await db.execute(
        update(Leg)
        .where(Leg.id.in_(leg_ids), Leg.closed_at.is_(None))
        .values(lease_until=now + LEASE)
        .execution_options(synchronize_session=False)
    )


def give_up(
    db: AsyncSession,
    owner: Owner,
    call: Call,
    leg: Leg,
    result: HumanResult,
    *,
    now: datetime,
    rule: str | None = None,
) -> None:
    """Close the leg of a human who was not reached."""
    leg.result, leg.closed_at, leg.lease_until = result, now, None
    facts: dict[str, Any] = {
        "to_phone_number": leg.to_phone_number,
        "result": result,
        "rule": rule,
        "dial_error": leg.dial_error,
        "sip_status": leg.sip_status,
        "sip_reason": leg.sip_reason,
    }
    record(db, owner, call, "human_not_reached", at=now, **facts)


def answered(db: AsyncSession, owner: Owner, call: Call, leg: Leg, *, now: datetime) -> None:
    """Note that the human has answered: the call is theirs, unless they are asked first."""
    leg.answered_at, leg.lease_until = now, None
    if leg.is_asked_first:
        to = leg.to_phone_number
        record(db, owner, call, "human_answered", at=now, to_phone_number=to)
    else:
        hand_over(db, owner, call, leg, now=now)


def hand_over(db: AsyncSession, owner: Owner, call: Call, leg: Leg, *, now: datetime) -> None:
    """Note that the call is the human's: the two talk on, whatever becomes of the agent."""
    session = call.session
    leg.result = HumanResult.ANSWERED
    session.handed_over_at = now
    session.result = session.result or AttemptResult.HUMAN  # somebody was on the line
    session.ended_by, session.end_reason = EndedBy.AGENT, EndReason.TRANSFER
    session.call_lease_until = None
    status: str = status_of(owner)
    kind = "call.transferred"
    if call.in_browser:
        kind, status = "session.transferred", browser.status_of(session.status, None)
    facts = {"to_phone_number": leg.to_phone_number, "reason": leg.reason}
    more = {"bridged": True, "recorded": False}
    announce(db, owner, call, kind, at=now, status=status, **facts, **more)


def agent_left(call: Call, result: AttemptResult, now: datetime) -> None:
    """Note that the agent has left the two alone, and what had answered."""
    session = call.session
    session.agent_ended_at = session.agent_ended_at or now
    if result is not AttemptResult.UNKNOWN:
        session.result = result


async def close_all(db: AsyncSession, session_id: str, now: datetime) -> None:
    """Close the human's leg of a conversation that is over.

    One that rings is closed by its dial's result: until then, its line is not free. One who was
    being asked has lost the person.
    """
    await db.execute(
        update(Leg)
        .where(
            Leg.session_id == session_id,
            _IS_HUMAN,
            Leg.closed_at.is_(None),
            or_(Leg.dialing_at.is_(None), Leg.answered_at.is_not(None)),
        )
        .values(
            closed_at=now,
            lease_until=None,
            result=func.coalesce(Leg.result, HumanResult.CALLER_LEFT.value),
        )
        .execution_options(synchronize_session=False)
    )


async def spend(db: AsyncSession, session_id: str, now: datetime) -> float:
    """Return what the trunks' minutes of humans cost in a conversation that ends now."""
    rows = await db.execute(
        select(Leg.answered_at, Leg.closed_at, Trunk.price_per_minute)
        .join(Trunk, Trunk.id == Leg.trunk_id)
        .where(Leg.session_id == session_id, _IS_HUMAN)
    )
    minute = timedelta(minutes=1)
    return sum(
        (
            max(0.0, ((until or now) - since) / minute) * price
            for since, until, price in rows
            if since is not None
        ),
        start=0.0,
    )


async def answered_of(db: AsyncSession, session_ids: Collection[str]) -> dict[str, Leg]:
    """Return, by session, the leg of the human who talked to the person."""
    rows = await db.scalars(
        select(Leg).where(
            Leg.session_id.in_(session_ids), _IS_HUMAN, Leg.result == HumanResult.ANSWERED
        )
    )
    return {row.session_id: row for row in rows}


def view(leg: Leg) -> HumanView:
    """Return the leg as the agent is told of it."""
    is_theirs = leg.result is HumanResult.ANSWERED
    if leg.answered_at is not None and (is_theirs or leg.closed_at is None):
        state = HumanState.ANSWERED
    elif leg.closed_at is not None:
        state = HumanState.OVER
    else:
        state = HumanState.ASKED if leg.dialing_at is None else HumanState.RINGING
    result = leg.result
    if state is HumanState.OVER and result is None:
        result = HumanResult.CALLER_LEFT
    return HumanView(
        id=leg.id,
        state=state,
        result=result,
        sip_status=leg.sip_status,
        detail=leg.sip_reason or "",
    )
