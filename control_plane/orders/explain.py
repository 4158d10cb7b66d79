"""Why an order was, or was not, dialled: every decision so far, and what holds it back now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.domain.call_order import WAITING, OrderStatus
from control_plane.domain.calling_times import local_time
from control_plane.domain.gate import Go, Never, Wait
from control_plane.domain.retry import END_EVENTS
from control_plane.orders.gatekeeper import Gatekeeper, recipient_of
from control_plane.orders.remedies import remedy
from control_plane.sessions.calls import Owner, status_of
from control_plane.trunks import pace

_DECISIONS = (
    "order_placed",
    "held_back",
    "paused",
    "resumed",
    "cancel_requested",
    "call.initiating",
    "call.ringing",
    "sound_routed",
    "human_asked",
    "human_answered",
    "human_not_reached",
    "transfer_failed",
    "call.transferred",
    "answer_detected",
    "attempt_closed",
    *END_EVENTS,
)
_WORDS = {
    OrderStatus.CALLING: "an attempt is live",
    OrderStatus.COMPLETED: "the order is completed; nothing more is tried",
    OrderStatus.CANCELLED: "the order was cancelled",
    OrderStatus.ERRORED: "the order cannot be carried out",
}


class Step(Struct, frozen=True, kw_only=True):
    """One decision; `recipient_time` is what the callee's clock showed then."""

    sequence: int
    at: datetime
    recipient_time: str | None
    decision: str
    rule: str | None
    reason: str | None
    next_eligible_at: datetime | None
    attempt_id: str | None


class Now(Struct, frozen=True, kw_only=True):
    """What the rules say at this moment.

    `verdict` is go, wait or never for an order that waits, else its status.
    """

    at: datetime
    recipient_time: str | None
    verdict: str
    rule: str | None
    next_eligible_at: datetime | None
    next_eligible_recipient_time: str | None
    detail: str


class Explanation(Struct, frozen=True, kw_only=True):
    """The decision log of an order."""

    call_id: str
    status: OrderStatus
    timezones: list[str]
    attempts_counted: int
    deadline_at: datetime | None
    now: Now
    decisions: list[Step]


async def explain(db: AsyncSession, owner: Owner) -> Explanation:
    """Return why a call is where it is."""
    rows = await db.scalars(
        select(CallEventRow)
        .where(CallEventRow.call_id == owner.id, CallEventRow.type.in_(_DECISIONS))
        .order_by(CallEventRow.sequence)
    )
    zones = owner.zones if isinstance(owner, CallOrder) else []
    return Explanation(
        call_id=owner.id,
        status=status_of(owner),
        timezones=zones,
        attempts_counted=owner.calls_count if isinstance(owner, CallOrder) else 1,
        deadline_at=owner.deadline_at if isinstance(owner, CallOrder) else None,
        now=await _now(db, owner),
        decisions=[_step(zones, row) for row in rows],
    )


async def _now(db: AsyncSession, owner: Owner) -> Now:
    at = await read_clock(db)
    if not isinstance(owner, CallOrder):
        return _told([], at, str(status_of(owner)), None, None, "the call came in")
    order = owner
    if order.status not in WAITING:
        return _told(order.zones, at, str(order.status), None, None, _WORDS[order.status])
    keeper = Gatekeeper(db, at)
    await keeper.prepare([order])
    match await keeper.decide(order):
        case Never(rule):
            why = f"the rule {rule} forbids every call: {remedy(rule, recipient_of(order))}"
            return _told(order.zones, at, "never", rule, None, why)
        case Wait(until, rule):
            when = "until something changes" if until is None else "until next_eligible_at"
            return _told(
                order.zones, at, "wait", rule, until, f"the rule {rule} holds it back {when}"
            )
        case Go():
            return await _at_the_trunk(db, order, at)


async def _at_the_trunk(db: AsyncSession, order: CallOrder, at: datetime) -> Now:
    if order.trunk_id is not None:
        closed = (await pace.closed(db, [order.trunk_id], at)).get(order.trunk_id)
        if closed is not None:
            detail = "its trunk takes no calls now: GET /trunk says why"
            return _told(order.zones, at, "wait", closed.rule, closed.until, detail)
    detail = "nothing forbids it: it waits for its turn on the trunk and for a ready agent"
    return _told(order.zones, at, "go", order.waiting_rule, order.due_at, detail)


def _told(
    zones: Sequence[str],
    at: datetime,
    verdict: str,
    rule: str | None,
    until: datetime | None,
    detail: str,
) -> Now:
    return Now(
        at=at,
        recipient_time=_local(zones, at),
        verdict=verdict,
        rule=rule,
        next_eligible_at=until,
        next_eligible_recipient_time=_local(zones, until) if until is not None else None,
        detail=detail,
    )


def _step(zones: Sequence[str], row: CallEventRow) -> Step:
    until = row.data.get("until")
    return Step(
        sequence=row.sequence,
        at=row.at,
        recipient_time=_local(zones, row.at),
        decision=row.type,
        rule=row.data.get("rule"),
        reason=_reason(row),
        next_eligible_at=datetime.fromisoformat(until) if until is not None else None,
        attempt_id=row.session_id,
    )


def _reason(row: CallEventRow) -> str | None:
    if row.type == "sound_routed":
        why = row.data.get("reason")
        return f"{row.data.get('way')}: {why}" if why else row.data.get("way")
    if row.type == "transfer_failed":
        found = (row.data.get("why"), row.data.get("sip_status"), row.data.get("detail"))
        return " ".join(str(each) for each in found if each)
    if row.type == "human_asked":
        return f"{row.data.get('reason')} ({row.data.get('because')})"
    if row.type == "human_not_reached":
        found = (row.data.get("result"), row.data.get("sip_status"), row.data.get("sip_reason"))
        return " ".join(str(each) for each in found if each)
    if row.type == "answer_detected":
        known = f"{row.data.get('result')} after {row.data.get('after_s')} s"
        return f"{known}, by {row.data.get('engine')}: {row.data.get('evidence')}"
    return row.data.get("reason") or row.data.get("end_reason") or row.data.get("dial_error")


def _local(zones: Sequence[str], instant: datetime) -> str | None:
    return local_time(instant, zones[0]).isoformat() if zones else None
