"""The steps that the rules of an order's life are made of; only `lifecycle` uses them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.call_order import CallOrder
from control_plane.domain import call_order as orders
from control_plane.domain import transitions
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.endings import AttemptOutcome, kind_of_end
from control_plane.domain.gate import Decision, Go, Never, Rule, Wait
from control_plane.domain.waiting import Cause
from control_plane.orders import repository
from control_plane.sessions.calls import Call
from control_plane.sessions.history import announce, record

_WITHOUT_A_SLOT = {
    Rule.CONCURRENCY,
    Rule.TRUNK_PACE,
    Rule.TRUNK_BREAKER,
    Rule.TRUNK_STOPPED,
    Rule.DESTINATION_STOPPED,
}
_COMPLETES = {Rule.MAX_RETRY_ATTEMPTS}


def opening(decision: Decision, now: datetime) -> dict[str, Any]:
    """Return the first status, due time and waiting rule of an order that the gate allows.

    Raises:
        TypeError: the gate forbids it for ever; such an order is refused, not stored.
    """
    match decision:
        case Go():
            status = OrderStatus.QUEUED_FOR_CALLING
            return {"status": status, "due_at": now, "waiting_rule": None}
        case Wait(until, rule):
            return {"status": waiting_status(rule), "due_at": until, "waiting_rule": rule}
        case Never(rule):
            raise TypeError(f"an order that {rule} forbids for ever is not stored")


def waiting_status(rule: Rule | Cause) -> OrderStatus:
    """Return whether an order held back by `rule` waits for a slot or for its time."""
    queued = isinstance(rule, Cause) or rule in _WITHOUT_A_SLOT
    return OrderStatus.QUEUED_FOR_CALLING if queued else OrderStatus.SCHEDULED


def hold(
    db: AsyncSession,
    order: CallOrder,
    given: Call | None,
    *,
    until: datetime | None,
    rule: Rule | Cause,
    fact: transitions.Fact,
    **more: Any,
) -> None:
    """Let the order wait until an instant, or until something changes."""
    told = order.waiting_rule == rule and order.due_at == until
    order.status = orders.move(order.status, waiting_status(rule))
    order.due_at, order.waiting_rule = until, rule
    if told and given is None:
        return  # looked at again for nothing: no news
    record(
        db,
        order,
        given,
        "held_back",
        at=fact.at,
        stored_at=fact.at,
        status=order.status,
        rule=rule,
        until=until,
        **more,
    )


async def finish(
    db: AsyncSession,
    order: CallOrder,
    call: Call | None,
    status: OrderStatus,
    fact: transitions.Fact,
    *,
    rule: Rule | None = None,
) -> None:
    """End the order, and tell by one event how."""
    kind = await _kind_of_end(db, order, call, status)
    if call is not None and call.leg.from_phone_number:
        # No attempt follows that it could bind.
        order.from_phone_number = call.leg.from_phone_number
    order.status = orders.move(order.status, status)
    order.due_at = order.not_before = order.waiting_rule = order.not_before_rule = None
    order.deadline_at = None
    announce(
        db,
        order,
        call,
        kind,
        at=fact.at,
        status=status,
        dial_error=call.leg.dial_error if call is not None else None,
        result=call.session.result if call is not None else None,
        rule=rule,
    )


async def _kind_of_end(
    db: AsyncSession, order: CallOrder, call: Call | None, status: OrderStatus
) -> str:
    if status is not OrderStatus.COMPLETED:
        return kind_of_end(status, [])
    last = []
    if call is not None:
        last.append(AttemptOutcome(call.leg.answered_at is not None, call.leg.dial_error))
    if not any(each.answered for each in last):
        with db.no_autoflush:  # what is being decided of `call` is not stored yet
            earlier = await repository.outcomes(db, order.id, besides=call)
        last += [AttemptOutcome(*each) for each in earlier]
    return kind_of_end(status, last)


async def forbid(
    db: AsyncSession, order: CallOrder, call: Call | None, rule: Rule, fact: transitions.Fact
) -> None:
    """End an order that the gate will never let through."""
    if rule is Rule.CANCELLED:
        status = OrderStatus.CANCELLED
    else:
        status = OrderStatus.COMPLETED if rule in _COMPLETES else OrderStatus.ERRORED
    await finish(db, order, call, status, fact, rule=rule)
