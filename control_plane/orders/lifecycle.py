"""The only writer of status: a fact becomes transitions, a decision, rows and outbox rows.

The caller holds the rows (`sessions.leases.lock`), so a stale owner cannot get here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import entries
from control_plane.db.models.call_order import CallOrder
from control_plane.domain import attempt as attempts
from control_plane.domain import call_order as orders
from control_plane.domain import transitions
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Conflict
from control_plane.domain.gate import Rule
from control_plane.orders import closing, slots
from control_plane.sessions import closing as conversation
from control_plane.sessions import lifecycle as unordered
from control_plane.sessions.calls import Call
from control_plane.sessions.history import announce, record
from control_plane.trunks import pace


async def apply(
    db: AsyncSession, order: CallOrder | None, call: Call | None, fact: transitions.Fact
) -> None:
    """Carry `fact` into the rows of `order` and of its call; the caller commits.

    Without an order it is the session's own lifecycle.

    Raises:
        IllegalTransition: the fact cannot follow what is already known.
    """
    if order is None:
        await unordered.apply(db, _required(call), fact)
        return
    was_live = order.status is OrderStatus.CALLING
    with db.no_autoflush:  # each row is written once, when all is decided
        if (rule := _RULES.get(type(fact))) is not None:
            await rule(db, order, call, fact)
        else:
            await _CALL_RULES[type(fact)](db, order, _required(call), fact)
    if was_live != (order.status is OrderStatus.CALLING):
        # One more slot is free, or one was taken and another order may fit beside it.
        await slots.call_next(db, order, fact.at)


def _required(call: Call | None) -> Call:
    if call is None:
        raise TypeError("this fact is about a call, and none was given")
    return call


async def _held_back(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.HeldBack
) -> None:
    closing.postpone(db, order, None, until=fact.until, rule=fact.rule, fact=fact)


async def _forbidden(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.Forbidden
) -> None:
    await closing.forbid(db, order, None, fact.rule, fact)


async def _paused(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.Paused
) -> None:
    if orders.is_final(order.status):
        raise Conflict(f"the call is already {order.status}; nothing is left to pause")
    if order.paused_at is not None:
        return
    order.paused_at = fact.at
    record(db, order, call, "paused", at=fact.at)
    if order.status in orders.WAITING:
        closing.postpone(db, order, None, until=None, rule=Rule.PAUSED, fact=fact)


async def _resumed(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.Resumed
) -> None:
    if orders.is_final(order.status):
        raise Conflict(f"the call is already {order.status}; nothing is left to resume")
    if order.paused_at is None:
        return
    order.paused_at = None
    record(db, order, call, "resumed", at=fact.at)
    if order.status in orders.WAITING:
        order.due_at = fact.at  # the gate says what else it waits for


async def _started(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.AttemptStarted
) -> None:
    order.status = orders.move(order.status, OrderStatus.CALLING)
    order.due_at = order.not_before = order.waiting_rule = order.not_before_rule = None
    announce(db, order, call, "call.initiating", at=fact.at, status=order.status)


async def _dial_started(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.DialStarted
) -> None:
    call.session.status = attempts.move(call.session.status, AttemptStatus.RINGING)
    call.leg.dialing_at = fact.at
    if order.api_key_id is not None:
        await entries.use(db, order.api_key_id, fact.at, calls=1)
    announce(db, order, call, "call.ringing", at=fact.at, status=order.status)


async def _answered(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.DialAnswered
) -> None:
    if not conversation.note_answer(call, fact):
        return
    order.calls_count += 1
    order.uncounted_in_a_row = 0
    if call.leg.trunk_id is not None:
        await pace.took_the_call(db, call.leg.trunk_id)
    announce(db, order, call, "call.in_progress", at=fact.at, status=order.status)
    if call.session.agent_ended_at is not None:  # its last word overtook the dial's answer
        await closing.close_completed(db, order, call, fact)


async def _cancelled(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.CancelRequested
) -> None:
    if orders.is_final(order.status):
        return
    if order.cancel_requested_at is None:
        order.cancel_requested_at = fact.at
        record(db, order, call, "cancel_requested", at=fact.at)
    if order.status in orders.WAITING:
        await closing.finish(db, order, None, OrderStatus.CANCELLED, fact)


_Rule = Callable[[AsyncSession, CallOrder, Call | None, Any], Awaitable[None]]
_RULES: dict[type[transitions.Fact], _Rule] = {
    transitions.HeldBack: _held_back,
    transitions.Forbidden: _forbidden,
    transitions.Paused: _paused,
    transitions.Resumed: _resumed,
    transitions.AttemptStarted: _started,
    transitions.CancelRequested: _cancelled,
}
_CallRule = Callable[[AsyncSession, CallOrder, Call, Any], Awaitable[None]]
_CALL_RULES: dict[type[transitions.Fact], _CallRule] = {
    transitions.DialStarted: _dial_started,
    transitions.AttemptAbandoned: closing.abandoned,
    transitions.DialFailed: closing.failed,
    transitions.DialAnswered: _answered,
    transitions.ConversationEnded: closing.ended,
}
