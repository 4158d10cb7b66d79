"""The only writer of status: a fact becomes transitions, a decision, rows and outbox rows.

The caller holds the rows (`orders.leases.hold`), so a stale owner cannot get here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain import attempt as attempts
from control_plane.domain import call_order as orders
from control_plane.domain import facts
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Conflict
from control_plane.domain.gate import Rule
from control_plane.ledgers import entries
from control_plane.orders import endings, slots, steps
from control_plane.orders.history import announce, record
from control_plane.trunks import pace


async def apply(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.AnyFact
) -> None:
    """Carry `fact` into the rows of `order` and `attempt`; the caller commits.

    Raises:
        IllegalTransition: the fact cannot follow what is already known.
    """
    was_live = order.status is OrderStatus.CALLING
    with session.no_autoflush:  # each row is written once, when all is decided
        await _RULES[type(fact)](session, order, attempt, fact)
    if was_live != (order.status is OrderStatus.CALLING):
        # One more slot is free, or one was taken and another order may fit beside it.
        await slots.call_next(session, order, fact.at)


async def _held_back(
    session: AsyncSession, order: CallOrder, _attempt: Attempt | None, fact: facts.HeldBack
) -> None:
    steps.hold(session, order, None, until=fact.until, rule=fact.rule, fact=fact)


async def _forbidden(
    session: AsyncSession, order: CallOrder, _attempt: Attempt | None, fact: facts.Forbidden
) -> None:
    await steps.forbid(session, order, None, fact.rule, fact)


async def _paused(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.Paused
) -> None:
    if orders.is_final(order.status):
        raise Conflict(f"the call is already {order.status}; nothing is left to pause")
    if order.paused_at is not None:
        return
    order.paused_at = fact.at
    record(session, order, attempt, "paused", at=fact.at, stored_at=fact.at)
    if order.status in orders.WAITING:
        steps.hold(session, order, None, until=None, rule=Rule.PAUSED, fact=fact)


async def _resumed(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.Resumed
) -> None:
    if orders.is_final(order.status):
        raise Conflict(f"the call is already {order.status}; nothing is left to resume")
    if order.paused_at is None:
        return
    order.paused_at = None
    record(session, order, attempt, "resumed", at=fact.at, stored_at=fact.at)
    if order.status in orders.WAITING:
        order.due_at = fact.at  # the gate says what else it waits for


async def _started(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.AttemptStarted
) -> None:
    order.status = orders.move(order.status, OrderStatus.CALLING)
    order.due_at = order.not_before = order.waiting_rule = order.not_before_rule = None
    announce(session, order, attempt, "call.initiating", at=fact.at, status=order.status)


async def _arrived(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.CallArrived
) -> None:
    call = endings.required(attempt)
    order.status = OrderStatus.CALLING
    order.calls_count = 1
    call.status = AttemptStatus.RINGING
    announce(session, order, call, "call.ringing", at=fact.at, status=order.status)


async def _dial_started(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.DialStarted
) -> None:
    call = endings.required(attempt)
    call.status = attempts.move(call.status, AttemptStatus.RINGING)
    call.dialing_at = fact.at
    if order.api_key_id is not None:
        await entries.use(session, order.api_key_id, fact.at, calls=1)
    announce(session, order, call, "call.ringing", at=fact.at, status=order.status)


async def _answered(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.DialAnswered
) -> None:
    call = endings.required(attempt)
    call.dispatch_lease_until = None
    call.sip_call_id = fact.sip_call_id or call.sip_call_id
    if call.closed_at is not None or call.answered_at is not None:
        return
    call.status = attempts.move(call.status, AttemptStatus.ONGOING)
    call.answered_at = fact.at
    if order.direction is Direction.OUTBOUND:
        order.calls_count += 1
        order.uncounted_in_a_row = 0
        if call.trunk_id is not None:
            await pace.took_the_call(session, call.trunk_id)
    announce(session, order, call, "call.in_progress", at=fact.at, status=order.status)
    if call.agent_ended_at is not None:  # its last word overtook the dial's answer
        await endings.close_completed(session, order, call, fact)


async def _cancelled(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.CancelRequested
) -> None:
    if orders.is_final(order.status):
        return
    if order.cancel_requested_at is None:
        order.cancel_requested_at = fact.at
        record(session, order, attempt, "cancel_requested", at=fact.at, stored_at=fact.at)
    if order.status in orders.WAITING:
        await steps.finish(session, order, None, OrderStatus.CANCELLED, fact)


_Rule = Callable[[AsyncSession, CallOrder, Attempt | None, Any], Awaitable[None]]
_RULES: dict[type[facts.Fact], _Rule] = {
    facts.HeldBack: _held_back,
    facts.Forbidden: _forbidden,
    facts.Paused: _paused,
    facts.Resumed: _resumed,
    facts.AttemptStarted: _started,
    facts.CallArrived: _arrived,
    facts.DialStarted: _dial_started,
    facts.AttemptAbandoned: endings.abandoned,
    facts.DialFailed: endings.failed,
    facts.DialAnswered: _answered,
    facts.ConversationEnded: endings.ended,
    facts.CancelRequested: _cancelled,
}
