"""Calls that come in: whose they are, who answers, and the rows that it is kept in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import repository as assistants
from control_plane.assistants import versions
from control_plane.compliance import suspended
from control_plane.db.engine import Database
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.db.models.trunk import Number, Trunk
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.errors import Conflict, NotFound, StaleEpoch, TokenUsed
from control_plane.domain.ids import new_id
from control_plane.domain.leg import LegKind
from control_plane.domain.recording import RecordingState
from control_plane.domain.transitions import CallArrived
from control_plane.internal.arrivals import Arrival
from control_plane.keys.join_tokens import Join
from control_plane.sessions import leases, lifecycle
from control_plane.sessions.calls import Call
from control_plane.sessions.making import Person, Speaker, begin
from control_plane.trunks import taken
from control_plane.trunks.repository import inbound_trunks
from sip.ports import Caller


async def receive(database: Database, arrival: Arrival, *, now: datetime) -> Call:
    """Return the rows of the call; the same agent gets the same ones when it asks again.

    Raises:
        NotFound: none of the callers came over an inbound trunk of ours, or the number that was
            called is that of another organization's trunk.
        TokenUsed: another agent asked for the call in this room before.
        StaleEpoch: the call is over.
        Conflict: the organization is suspended.
    """
    try:
        async with database.transaction() as db:
            return await _received(db, arrival, now=now)
    except IntegrityError:  # somebody asked for the same room meanwhile: now that is seen
        async with database.transaction() as db:
            return await _received(db, arrival, now=now)


async def _received(db: AsyncSession, arrival: Arrival, *, now: datetime) -> Call:
    join = arrival.join
    trunk, caller = await _whose(db, arrival.callers)
    known = await db.scalar(select(Session).where(Session.room_name == join.room))
    if known is None:
        return await _stored(db, trunk, join, caller, now=now)
    if known.agent_identity != join.identity:
        raise TokenUsed("another agent has the call in this room: one asks for it, once")
    if known.closed_at is not None:
        raise StaleEpoch("the call is over; there is nothing to talk about")
    _, call = await leases.lock(db, known.id, epoch=None)
    return call


async def _whose(db: AsyncSession, callers: Sequence[Caller]) -> tuple[Trunk, Caller]:
    """Return the trunk of the organization that is called, and who calls it."""
    trunks = await inbound_trunks(db, [each.sip_trunk_id for each in callers])
    found = {trunk.sip_trunk_id: trunk for trunk in trunks}
    for caller in callers:
        trunk = found.get(caller.sip_trunk_id)
        if trunk is None:
            continue
        if await taken.is_of_others(db, trunk.organization_id, caller.called_number):
            # A SIP service other than ours may give the call to whoever takes every number.
            raise NotFound("another organization's inbound trunk takes the calls to this number")
        return trunk, caller
    raise NotFound("nobody in the room came over an inbound trunk that we have")


async def _stored(
    db: AsyncSession, trunk: Trunk, join: Join, caller: Caller, *, now: datetime
) -> Call:
    organization_id = trunk.organization_id
    if await suspended.suspended_of(db, [organization_id]):
        raise Conflict("the organization is suspended: it takes no calls")
    assistant = await _answering(db, organization_id, caller.called_number)
    speaker = Speaker(
        assistant_id=assistant.id,
        version=assistant.version,
        version_id=assistant.version_id or "",
    )
    person = Person(
        kind=LegKind.CALLER,
        identity=caller.identity[:300],
        to_phone_number=caller.called_number[:100],
        from_phone_number=caller.calling_number[:100],
        trunk_id=trunk.id,
        sip_call_id=caller.sip_call_id[:300],
    )
    session, leg = begin(
        new_id(),
        organization_id,
        speaker,
        person,
        room_name=join.room,
        status=AttemptStatus.RINGING,
        epoch=1,
        now=now,
        agent_identity=join.identity,
        call_lease_until=now + leases.LEASE,
        brief_taken_at=now,
    )
    db.add(session)
    await db.flush()
    db.add(leg)
    version = await versions.get(db, session.assistant_version_id)
    if version.spec.recording_enabled:
        db.add(Recording(session_id=session.id, state=RecordingState.SPOOLING))
    call = Call(session, leg)
    await lifecycle.apply(db, call, CallArrived(at=now))
    return call


async def _answering(db: AsyncSession, organization_id: str, called: str) -> Assistant:
    number = await db.scalar(
        select(Number).where(
            Number.organization_id == organization_id, Number.phone_number == called
        )
    )
    if number is not None and number.assistant_id is not None:
        return await assistants.get_assistant(db, organization_id, number.assistant_id)
    return await assistants.get_default(db, organization_id)
