"""Calls that come in: who answers, and the rows that such a call is kept in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import repository as assistants
from control_plane.assistants import versions
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Number
from control_plane.domain.attempt import AttemptStatus, RecordingState
from control_plane.domain.brief import Direction, InboundCall
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.facts import CallArrived
from control_plane.domain.ids import new_id
from control_plane.internal.briefs import order_of
from control_plane.orders import leases, lifecycle
from control_plane.organizations import suspension
from control_plane.trunks import taken


async def receive(
    session: AsyncSession, organization_id: str, call: InboundCall, *, now: datetime
) -> tuple[CallOrder, Attempt]:
    """Return the rows of the call; asking twice about one room gives the same ones.

    Raises:
        NotFound: the room belongs to another organization's call, or the number that was called to
            another's trunk.
        Conflict: the organization is suspended.
    """
    known = await session.scalar(select(Attempt).where(Attempt.room_name == call.room_name))
    if known is not None:
        if known.organization_id != organization_id:
            raise NotFound("there is no such call")
        return await order_of(session, known), known
    if await taken.is_of_others(session, organization_id, call.called_number):
        # A SIP service other than ours may give the call to whoever takes every number.
        raise NotFound("another organization's inbound trunk takes the calls to this number")
    if await suspension.suspended_of(session, [organization_id]):
        raise Conflict("the organization is suspended: it takes no calls")
    assistant = await _answering(session, organization_id, call.called_number)
    order = CallOrder(
        id=new_id(),
        organization_id=organization_id,
        direction=Direction.INBOUND,
        status=OrderStatus.INITIALIZING,
        to_phone_number=call.called_number[:100],
        from_phone_number=call.calling_number[:100],
        assistant_id=assistant.id,
        assistant_version=assistant.version,
        assistant_version_id=assistant.version_id,
        retry_config={},
        zones=[],
        prompt_variables={},
        call_metadata={},
        force_now=False,
        calls_count=0,
        epoch=1,
        event_count=0,
        uncounted_in_a_row=0,
        created_at=now,
        updated_at=now,
    )
    session.add(order)
    await session.flush()
    version = await versions.get(session, order.assistant_version_id)
    recorded = version.spec.recording_enabled
    attempt = Attempt(
        id=new_id(),
        order_id=order.id,
        organization_id=organization_id,
        ordinal=1,
        counted=True,
        status=AttemptStatus.RINGING,
        epoch=1,
        room_name=call.room_name,
        participant_identity=call.participant_identity[:300],
        to_phone_number=call.called_number[:100],
        from_phone_number=call.calling_number[:100],
        call_lease_until=now + leases.LEASE,
        last_event_seq=0,
        created_at=now,
        brief_taken_at=now,
        sip_call_id=call.sip_call_id[:300],
        recording_state=RecordingState.SPOOLING if recorded else RecordingState.ABSENT,
    )
    session.add(attempt)
    await session.flush()
    await lifecycle.apply(session, order, attempt, CallArrived(at=now))
    return order, attempt


async def _answering(session: AsyncSession, organization_id: str, called: str) -> Assistant:
    number = await session.scalar(
        select(Number).where(
            Number.organization_id == organization_id, Number.phone_number == called
        )
    )
    if number is not None and number.assistant_id is not None:
        return await assistants.get_assistant(session, organization_id, number.assistant_id)
    return await assistants.get_default(session, organization_id)
