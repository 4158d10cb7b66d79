"""The only writer of status: a fact becomes transitions, a decision, rows and outbox rows.

The caller holds the rows (`orders.leases.hold`), so a stale owner cannot get here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain import attempt as attempts
from control_plane.domain import call_order as orders
from control_plane.domain import dial_errors, facts
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import DialError, Policy
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.gate import Rule
from control_plane.domain.retry import Finish, TryAgain, after_abandoned, after_failure
from control_plane.orders.history import announce, record

_ENDINGS = {
    OrderStatus.COMPLETED: "call.completed",
    OrderStatus.CANCELLED: "call.cancelled",
    OrderStatus.ERRORED: "call.failed",
}


async def apply(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.AnyFact
) -> None:
    """Carry `fact` into the rows of `order` and `attempt`; the caller commits.

    Raises:
        IllegalTransition: the fact cannot follow what is already known.
    """
    _RULES[type(fact)](session, order, attempt, fact)


def _placed(
    session: AsyncSession, order: CallOrder, _attempt: Attempt | None, fact: facts.OrderPlaced
) -> None:
    later = fact.scheduled_at is not None and fact.scheduled_at > fact.at
    order.status = OrderStatus.SCHEDULED if later else OrderStatus.QUEUED_FOR_CALLING
    order.due_at = fact.scheduled_at if later else fact.at
    order.waiting_rule = Rule.SCHEDULED_AT if later else None
    record(session, order, None, "order_placed", at=fact.at, stored_at=fact.at, status=order.status)


def _held_back(
    session: AsyncSession, order: CallOrder, _attempt: Attempt | None, fact: facts.HeldBack
) -> None:
    order.status = orders.move(order.status, OrderStatus.SCHEDULED)
    order.due_at = fact.until
    if fact.rule is not Rule.BACK_OFF or order.waiting_rule is None:  # it has its cause already
        order.waiting_rule = fact.rule
    record(
        session,
        order,
        None,
        "held_back",
        at=fact.at,
        stored_at=fact.at,
        status=order.status,
        rule=fact.rule,
        until=fact.until,
    )


def _started(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.AttemptStarted
) -> None:
    order.status = orders.move(order.status, OrderStatus.CALLING)
    order.due_at = order.not_before = order.waiting_rule = None
    announce(session, order, attempt, "call.initiating", at=fact.at, status=order.status)


def _arrived(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.CallArrived
) -> None:
    call = _required(attempt)
    order.status = OrderStatus.CALLING
    order.calls_count = 1
    call.status = AttemptStatus.RINGING
    announce(session, order, call, "call.ringing", at=fact.at, status=order.status)


def _dial_started(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.DialStarted
) -> None:
    call = _required(attempt)
    call.status = attempts.move(call.status, AttemptStatus.RINGING)
    call.dialing_at = fact.at
    announce(session, order, call, "call.ringing", at=fact.at, status=order.status)


def _answered(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.DialAnswered
) -> None:
    call = _required(attempt)
    call.dispatch_lease_until = None
    call.sip_call_id = fact.sip_call_id or call.sip_call_id
    if call.closed_at is not None or call.answered_at is not None:
        return
    call.status = attempts.move(call.status, AttemptStatus.ONGOING)
    call.answered_at = fact.at
    if order.direction is Direction.OUTBOUND:
        order.calls_count += 1
        order.uncounted_in_a_row = 0
    announce(session, order, call, "call.in_progress", at=fact.at, status=order.status)
    if call.agent_ended_at is not None:  # its last word overtook the dial's answer
        _close_completed(session, order, call, fact)


def _ended(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.ConversationEnded
) -> None:
    call = _required(attempt)
    if call.closed_at is not None:
        return
    call.agent_ended_at = fact.at
    call.ended_by, call.end_reason = fact.ended_by, fact.end_reason
    call.result, call.detail = fact.result, fact.detail or None
    if call.answered_at is not None:
        _close_completed(session, order, call, fact)
    elif order.direction is Direction.INBOUND:
        _close_unanswered(session, order, call, fact)
        _finish(session, order, call, OrderStatus.COMPLETED, fact)
    # Otherwise the dialler's answer is on its way and says more: it closes the attempt.


def _abandoned(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.AttemptAbandoned
) -> None:
    call = _required(attempt)
    # What the agent said of its own end is closer to the cause than that it ended.
    failed = call.agent_ended_at is not None and call.end_reason == EndReason.PROVIDER_FAILED
    reason = EndReason.PROVIDER_FAILED if failed else fact.reason
    policy = after_abandoned(
        reason, hopeless=fact.hopeless, uncounted_in_a_row=order.uncounted_in_a_row + 1
    )
    call.ended_by, call.end_reason = EndedBy.SYSTEM, reason
    call.detail = fact.detail or call.detail
    call.counted = False
    if policy is not Policy.BACK_OFF:
        call.dial_error = DialError.PRECONDITION_FAILED
    _close_unanswered(session, order, call, fact)
    _go_on(session, order, call, policy, fact, cause=reason)


def _failed(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.DialFailed
) -> None:
    call = _required(attempt)
    call.dispatch_lease_until = None
    if call.closed_at is not None or call.answered_at is not None:
        return
    meaning = dial_errors.meaning(fact.sip_status, fact.kind)
    call.sip_status, call.sip_reason = fact.sip_status, fact.sip_reason[:300] or None
    call.detail = meaning.detail or call.detail
    call.ended_by = EndedBy.SYSTEM
    call.result = None
    call.end_reason = EndReason.NOT_ANSWERED
    if order.cancel_requested_at is None:
        call.dial_error = meaning.dial_error
        call.counted = meaning.counted
    else:
        call.end_reason = EndReason.CANCELLED
        if fact.sip_status is None:  # the service's complaint that we ended its room
            call.sip_reason = None
    if call.counted:
        order.calls_count += 1
        order.uncounted_in_a_row = 0
    _close_unanswered(session, order, call, fact)
    cause = dial_errors.cause_of(fact.sip_status, fact.kind)
    _go_on(session, order, call, meaning.policy, fact, cause=cause)


def _cancelled(
    session: AsyncSession, order: CallOrder, attempt: Attempt | None, fact: facts.CancelRequested
) -> None:
    if orders.is_final(order.status):
        return
    if order.cancel_requested_at is None:
        order.cancel_requested_at = fact.at
        record(session, order, attempt, "cancel_requested", at=fact.at, stored_at=fact.at)
    if order.status in orders.WAITING:
        _finish(session, order, None, OrderStatus.CANCELLED, fact)


def _go_on(
    session: AsyncSession,
    order: CallOrder,
    call: Attempt,
    policy: Policy,
    fact: facts.Fact,
    *,
    cause: str,
) -> None:
    """Decide what the order does after an attempt that reached nobody, and what it waits for."""
    if order.cancel_requested_at is not None:
        _finish(session, order, call, OrderStatus.CANCELLED, fact)
        return
    if not call.counted:
        order.uncounted_in_a_row += 1
    match after_failure(policy, uncounted_in_a_row=order.uncounted_in_a_row, now=fact.at):
        case Finish(status):
            _finish(session, order, call, status, fact)
        case TryAgain(at):
            order.status = orders.move(order.status, OrderStatus.QUEUED_FOR_CALLING)
            order.due_at = order.not_before = at
            order.waiting_rule = cause
            record(
                session,
                order,
                call,
                "held_back",
                at=fact.at,
                stored_at=fact.at,
                status=order.status,
                rule=Rule.BACK_OFF,
                until=at,
                reason=cause,
                detail=call.detail,
            )


def _close_completed(
    session: AsyncSession, order: CallOrder, call: Attempt, fact: facts.Fact
) -> None:
    call.status = attempts.move(call.status, AttemptStatus.COMPLETED)
    call.result = call.result or AttemptResult.UNKNOWN
    _close(session, order, call, fact)
    cancelled = order.cancel_requested_at is not None
    _finish(
        session,
        order,
        call,
        OrderStatus.CANCELLED if cancelled else OrderStatus.COMPLETED,
        fact,
    )


def _close_unanswered(
    session: AsyncSession, order: CallOrder, call: Attempt, fact: facts.Fact
) -> None:
    call.status = attempts.move(call.status, AttemptStatus.ERROR)
    _close(session, order, call, fact)


def _close(session: AsyncSession, order: CallOrder, call: Attempt, fact: facts.Fact) -> None:
    call.ended_at = call.closed_at = fact.at
    call.dispatch_lease_until = call.call_lease_until = None
    record(
        session,
        order,
        call,
        "attempt_closed",
        at=fact.at,
        stored_at=fact.at,
        attempt_status=call.status,
        dial_error=call.dial_error,
        sip_status=call.sip_status,
        sip_reason=call.sip_reason,
        detail=call.detail,
        ended_by=call.ended_by,
        end_reason=call.end_reason,
        result=call.result,
    )


def _finish(
    session: AsyncSession,
    order: CallOrder,
    call: Attempt | None,
    status: OrderStatus,
    fact: facts.Fact,
) -> None:
    order.status = orders.move(order.status, status)
    order.due_at = order.not_before = order.waiting_rule = None
    announce(
        session,
        order,
        call,
        _ENDINGS[status],
        at=fact.at,
        status=status,
        dial_error=call.dial_error if call is not None else None,
        result=call.result if call is not None else None,
    )


def _required(attempt: Attempt | None) -> Attempt:
    if attempt is None:
        raise TypeError("this fact is about an attempt, and none was given")
    return attempt


_RULES: dict[type[facts.Fact], Callable[[AsyncSession, CallOrder, Attempt | None, Any], None]] = {
    facts.OrderPlaced: _placed,
    facts.HeldBack: _held_back,
    facts.AttemptStarted: _started,
    facts.CallArrived: _arrived,
    facts.DialStarted: _dial_started,
    facts.AttemptAbandoned: _abandoned,
    facts.DialFailed: _failed,
    facts.DialAnswered: _answered,
    facts.ConversationEnded: _ended,
    facts.CancelRequested: _cancelled,
}
