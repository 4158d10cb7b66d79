"""How attempts are closed, and what their orders do next: wait, be tried again, or end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import entries
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.trunk import Trunk
from control_plane.domain import call_order as orders
from control_plane.domain import dial_errors, transitions
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import open_at
from control_plane.domain.dial_errors import DialError, DialFailureKind, Policy
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.gate import Never, Rule
from control_plane.domain.retry import (
    AttemptOutcome,
    Finish,
    TryAgain,
    after_abandoned,
    after_attempt,
    end_event,
    waiting_status,
)
from control_plane.domain.waiting import Cause
from control_plane.orders import repository
from control_plane.orders.gatekeeper import config_of
from control_plane.sessions import closing as conversation
from control_plane.sessions import humans
from control_plane.sessions.calls import Call
from control_plane.sessions.history import announce, record
from control_plane.trunks import pace

_COMPLETES = {Rule.MAX_RETRY_ATTEMPTS}
_STOPS = {
    Policy.STOP_TRUNK: Rule.TRUNK_STOPPED,
    Policy.STOP_DESTINATION: Rule.DESTINATION_STOPPED,
}


async def ended(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.ConversationEnded
) -> None:
    """Close a conversation, or note the agent's last word before its dial has an answer."""
    if call.session.closed_at is not None:
        return
    conversation.note_end(call, fact)
    if call.session.answered_at is not None:
        await close_completed(db, order, call, fact)
    # Otherwise the dialler's answer is on its way and says more: it closes the attempt.


async def abandoned(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.AttemptAbandoned
) -> None:
    """Close an attempt that was given up before any INVITE."""
    # What the agent said of its own end is closer to the cause than that it ended.
    failed_provider = call.session.agent_ended_at is not None and (
        call.session.end_reason == EndReason.PROVIDER_FAILED
    )
    reason = EndReason.PROVIDER_FAILED if failed_provider else fact.reason
    call.session.ended_by, call.session.end_reason = EndedBy.SYSTEM, reason
    call.session.detail = fact.detail or call.session.detail
    call.count(False)
    if fact.gate is not None:
        conversation.close_unanswered(db, order, call, fact)
        if isinstance(fact.gate, Never):
            await forbid(db, order, call, fact.gate.rule, fact)
        else:
            postpone(db, order, call, until=fact.gate.until, rule=fact.gate.rule, fact=fact)
        return
    policy = after_abandoned(
        reason, hopeless=fact.hopeless, uncounted_in_a_row=order.uncounted_in_a_row + 1
    )
    if policy is not Policy.BACK_OFF:
        call.leg.dial_error = DialError.PRECONDITION_FAILED
    conversation.close_unanswered(db, order, call, fact)
    # Nothing was refused on a trunk here: what cannot be helped ends the order.
    policy = Policy.END if policy is Policy.STOP_TRUNK else policy
    await _go_on(db, order, call, policy, fact, cause=reason)


async def failed(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.DialFailed
) -> None:
    """Close an attempt whose INVITE reached nobody."""
    call.session.dispatch_lease_until = None
    if call.session.closed_at is not None or call.session.answered_at is not None:
        return
    meaning = dial_errors.meaning(fact.sip_status, fact.kind)
    call.leg.sip_status, call.leg.sip_reason = fact.sip_status, fact.sip_reason[:300] or None
    call.session.detail = meaning.detail or call.session.detail
    call.session.ended_by = EndedBy.SYSTEM
    call.session.result = None
    call.session.end_reason = EndReason.NOT_ANSWERED
    if order.cancel_requested_at is None:
        call.leg.dial_error = meaning.dial_error
        call.count(meaning.counted)
    else:
        call.session.end_reason = EndReason.CANCELLED
        if fact.sip_status is None:  # the service's complaint that we ended its room
            call.leg.sip_reason = None
    if call.is_counted:
        order.calls_count += 1
        order.uncounted_in_a_row = 0
    conversation.close_unanswered(db, order, call, fact)
    cause = dial_errors.cause_of(fact.sip_status, fact.kind)
    await pace.report_failed_dial(db, call.leg, meaning.policy, fact, cause)
    if meaning.policy is Policy.DECLINED_FOR_GOOD:
        await entries.never_call(
            db,
            order.organization_id,
            order.to_phone_number,
            reason=meaning.detail,
            source=f"sip_{fact.sip_status}",
            now=fact.at,
        )
    await _go_on(db, order, call, meaning.policy, fact, cause=cause)


async def close_completed(
    db: AsyncSession, order: CallOrder, call: Call, fact: transitions.Fact
) -> None:
    """Close an answered attempt; the order goes on unless a person was reached."""
    await conversation.close_answered(db, order, call, fact)
    await _charge(db, order, call, fact)
    await _go_on(db, order, call, Policy.RETRY, fact, cause=Rule.RETRY_DELAY)


def postpone(
    db: AsyncSession,
    order: CallOrder,
    call: Call | None,
    *,
    until: datetime | None,
    rule: Rule | Cause,
    fact: transitions.Fact,
    **more: Any,
) -> None:
    """Let the order wait until an instant, or until something changes."""
    is_news = order.waiting_rule != rule or order.due_at != until
    order.status = orders.move(order.status, waiting_status(rule))
    order.due_at, order.waiting_rule = until, rule
    if is_news or call is not None:
        _record_wait(db, order, call, fact, rule=rule, until=until, **more)


async def forbid(
    db: AsyncSession, order: CallOrder, call: Call | None, rule: Rule, fact: transitions.Fact
) -> None:
    """End an order that the gate will never let through."""
    if rule is Rule.CANCELLED:
        status = OrderStatus.CANCELLED
    else:
        status = OrderStatus.COMPLETED if rule in _COMPLETES else OrderStatus.ERRORED
    await finish(db, order, call, status, fact, rule=rule)


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
    kind = end_event(status, await _outcomes(db, order, call, status))
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


async def _outcomes(
    db: AsyncSession, order: CallOrder, call: Call | None, status: OrderStatus
) -> list[AttemptOutcome]:
    """Return how the attempts of an order went as far as that names its end, the last one first."""
    last = [] if call is None else [call.outcome]
    if status is not OrderStatus.COMPLETED or any(each.answered for each in last):
        return last
    with db.no_autoflush:  # what is being decided of `call` is not stored yet
        return last + await repository.outcomes(db, order.id, besides=call)


async def _charge(db: AsyncSession, order: CallOrder, call: Call, fact: transitions.Fact) -> None:
    if order.api_key_id is None or call.session.answered_at is None:
        return
    seconds = max(0.0, (fact.at - call.session.answered_at) / timedelta(seconds=1))
    trunk = await db.get(Trunk, call.leg.trunk_id) if call.leg.trunk_id is not None else None
    price = trunk.price_per_minute if trunk is not None else 0.0
    spend = seconds / 60 * price + await humans.spend(db, call.id, fact.at)
    await entries.use(db, order.api_key_id, fact.at, seconds=seconds, spend=spend)


async def _go_on(
    db: AsyncSession,
    order: CallOrder,
    call: Call,
    policy: Policy,
    fact: transitions.Fact,
    *,
    cause: str,
) -> None:
    """Decide what the order does after an attempt, and what it waits for."""
    if order.cancel_requested_at is not None:
        await finish(db, order, call, OrderStatus.CANCELLED, fact)
        return
    if not call.is_counted:
        order.uncounted_in_a_row += 1
    if _waits_on_the_trunk(call, policy, fact):
        _wait_for_trunk(db, order, call, policy, fact, cause=cause)
        return
    config, zones = config_of(order), tuple(order.zones)
    dialled = call.leg.dialing_at
    decision = after_attempt(
        policy,
        reached_human=call.session.result is AttemptResult.HUMAN,
        attempts_made=order.calls_count,
        uncounted_in_a_row=order.uncounted_in_a_row,
        config=config,
        zones=zones,
        window_dialled=open_at(config, zones, dialled) if dialled is not None else None,
        now=fact.at,
        deadline=order.deadline_at,
    )
    match decision:
        case Finish(status, rule):
            await finish(db, order, call, status, fact, rule=rule)
        case TryAgain():
            _wait(db, order, call, decision, fact, cause=cause)


def _wait(
    db: AsyncSession,
    order: CallOrder,
    call: Call,
    again: TryAgain,
    fact: transitions.Fact,
    *,
    cause: str,
) -> None:
    rule = Rule(again.rule or Rule.BACK_OFF)
    own = rule is Rule.RETRY_DELAY  # then nothing is in the way but the order's own delay
    cause = rule if own else cause
    order.status = orders.move(
        order.status, OrderStatus.SCHEDULED if own else OrderStatus.QUEUED_FOR_CALLING
    )
    order.not_before, order.not_before_rule = again.at, rule
    order.due_at = None if order.paused_at is not None else again.at
    order.waiting_rule = Rule.PAUSED if order.paused_at is not None else cause
    reason = call.leg.dial_error or call.session.result if own else cause
    detail = call.session.detail
    _record_wait(db, order, call, fact, rule=rule, until=again.at, reason=reason, detail=detail)


def _waits_on_the_trunk(call: Call, policy: Policy, fact: transitions.Fact) -> bool:
    """Return whether the trunk, not the order, decides when it goes on."""
    if call.leg.trunk_id is None or not isinstance(fact, transitions.DialFailed):
        return False
    if fact.sip_status is None and fact.kind in pace.OUR_OWN | {DialFailureKind.BAD_REQUEST}:
        return False
    return policy in {Policy.BACK_OFF, Policy.STOP_TRUNK, Policy.STOP_DESTINATION}


def _wait_for_trunk(
    db: AsyncSession,
    order: CallOrder,
    call: Call,
    policy: Policy,
    fact: transitions.Fact,
    *,
    cause: str,
) -> None:
    """Leave the order due in its trunk's lane, which is closed until the trunk is well again."""
    rule = _STOPS.get(policy) or Cause(cause)
    parked = policy is Policy.STOP_DESTINATION or order.paused_at is not None
    postpone(
        db,
        order,
        call,
        until=None if parked else fact.at,
        rule=Rule.PAUSED if order.paused_at is not None else rule,
        fact=fact,
        reason=call.leg.dial_error,
        sip_status=call.leg.sip_status,
    )


def _record_wait(
    db: AsyncSession, order: CallOrder, call: Call | None, fact: transitions.Fact, **more: Any
) -> None:
    record(db, order, call, "held_back", at=fact.at, status=order.status, **more)
