"""Every row about a person, found by their phone number: what to show them, or to erase.

What hangs from a call is about whom it was with: its sessions, legs, recordings, history, and the
messages to others. Numbers of our own stand in rows too (`OURS`): those are about no person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import quote

from sqlalchemy import ColumnElement, CompoundSelect, and_, literal, or_, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.db.models.compliance import AuditEntry, Consent, DoNotCall, IdempotentAnswer
from control_plane.db.models.history import CallEventRow, OutboxRow
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Leg, Session
from control_plane.db.models.webhook import Delivery, DeliveryTry
from control_plane.domain.leg import LegKind

OURS = frozenset(
    {
        "call_order.from_phone_number",  # who calls
        "campaign.from_phone_numbers",
        "number.phone_number",
        "trunk.numbers",
    }
)
"""Columns with numbers that are the organization's own.

Of a leg, one number is the person's and the other ours; which one, its kind says.
"""
_Key = InstrumentedAttribute[str]


async def list_rows_about(
    db: AsyncSession, organization_id: str, phone_number: str
) -> dict[str, list[str]]:
    """Return the primary keys of every row about whoever has a number, by table.

    A key of an `idempotent_answer` is its `key`, the organization being known. A caller's number
    is found as most networks write it: in E.164, without the +, or with 00 for it.

    Args:
        phone_number: in E.164.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for table, key in await db.execute(_query(organization_id, phone_number)):
        found[table].append(key)
    return {table: sorted(keys) for table, keys in found.items()}


def _query(organization_id: str, number: str) -> CompoundSelect[str, str]:
    return union_all(
        *(
            select(literal(key.class_.__tablename__), key).where(condition)
            for key, condition in _conditions(organization_id, number)
        )
    )


def _conditions(owner: str, number: str) -> Iterator[tuple[_Key, ColumnElement[bool]]]:
    """Yield each table's key, and which of its rows are about who has the number."""
    spelled = (number, number[1:], f"00{number[1:]}")
    ordered = select(CallOrder.id).where(
        CallOrder.organization_id == owner, CallOrder.to_phone_number == number
    )
    called = and_(Leg.kind.in_([LegKind.CALLEE, LegKind.HUMAN]), Leg.to_phone_number == number)
    calling = and_(Leg.kind == LegKind.CALLER, Leg.from_phone_number.in_(spelled))
    sessions = union(
        select(Leg.session_id).where(Leg.organization_id == owner, or_(called, calling)),
        select(Attempt.session_id).where(Attempt.order_id.in_(ordered)),
    ).cte("sessions")
    held = select(sessions.c[0])
    # The history of what was ordered is known by its order, also for a human who came to it.
    calls = union(ordered, held, select(Attempt.order_id).where(Attempt.session_id.in_(held))).cte(
        "calls"
    )
    told = select(calls.c[0])
    campaigns = select(Campaign.id).where(Campaign.organization_id == owner)
    deliveries = select(Delivery.id).where(Delivery.call_id.in_(told))

    yield CallOrder.id, CallOrder.id.in_(ordered)
    yield Attempt.session_id, Attempt.session_id.in_(held)
    yield Session.id, Session.id.in_(held)
    yield Leg.id, Leg.session_id.in_(held)
    yield Recording.session_id, Recording.session_id.in_(held)
    of_call = or_(CallEventRow.call_id.in_(told), CallEventRow.session_id.in_(held))
    yield CallEventRow.id, of_call
    yield OutboxRow.id, OutboxRow.call_id.in_(told)
    yield Delivery.id, Delivery.call_id.in_(told)
    yield DeliveryTry.id, DeliveryTry.delivery_id.in_(deliveries)
    yield (
        CampaignRow.id,
        and_(CampaignRow.phone_number == number, CampaignRow.campaign_id.in_(campaigns)),
    )
    for listed in (DoNotCall, Consent):
        yield listed.id, and_(listed.organization_id == owner, listed.phone_number == number)
    yield (
        IdempotentAnswer.key,
        and_(IdempotentAnswer.organization_id == owner, IdempotentAnswer.answer.contains(number)),
    )
    in_path = [
        AuditEntry.path.endswith(f"/{each}", autoescape=True) for each in (number, quote(number))
    ]
    yield AuditEntry.id, and_(AuditEntry.organization_id == owner, or_(*in_path))
