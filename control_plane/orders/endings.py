"""How attempts end, and what their orders do next; the rules of `lifecycle` that close."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance import entries
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import Trunk
from control_plane.domain import call_order as orders
from control_plane.domain import dial_errors, transitions
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import open_at
from control_plane.domain.dial_errors import DialError, DialFailureKind, Policy
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.gate import Never, Rule, Wait
from control_plane.domain.retry import Finish, TryAgain, after_abandoned, after_attempt
from control_plane.domain.waiting import Cause
from control_plane.orders import steps
from control_plane.orders.gatekeeper import config_of
from control_plane.sessions import humans
from control_plane.sessions import steps as conversation
from control_plane.sessions.calls import Call
from control_plane.sessions.history import record
from control_plane.trunks import pace
from control_plane.trunks.routing import country_prefix

_STOPS = {
    Policy.STOP_TRUNK: Rule.TRUNK_STOPPED,
    Policy.STOP_DESTINATION: Rule.DESTINATION_STOPPED,
}
_OUR_OWN = {DialFailureKind.SERVICE_UNAVAILABLE, DialFailureKind.TRUNK_MISSING}
"""Failures of our SIP service: they say nothing of the trunk."""


async def ended(
    db: AsyncSession, order: CallOrder, given: Call | None, fact: transitions.ConversationEnded
) -> None:
    """Close a conversation, or note the agent's last word before its dial has an answer."""
    call = required(given)
    if call.session.closed_at is not None:
        return
    conversation.note_end(call, fact)
    if call.session.answered_at is not None:
        await close_completed(db, order, call, fact)
    # Otherwise the dialler's answer is on its way and says more: it closes the attempt.


async def abandoned(
    db: AsyncSession, order: CallOrder, given: Call | None, fact: transitions.AttemptAbandoned
) -> None:
    """Close an attempt that was given up before any INVITE."""
    call = required(given)
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
        await _as_the_gate_says(db, order, call, fact.gate, fact)
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
    db: AsyncSession, order: CallOrder, given: Call | None, fact: transitions.DialFailed
) -> None:
    """Close an attempt whose INVITE reached nobody."""
    call = required(given)
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
    await tell_trunk(db, call.leg, meaning.policy, fact, cause)
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


def required(given: Call | None) -> Call:
    """Return the call that a fact is about."""
    if given is None:
        raise TypeError("this fact is about a call, and none was given")
    return given


async def _charge(db: AsyncSession, order: CallOrder, call: Call, fact: transitions.Fact) -> None:
    if order.api_key_id is None or call.session.answered_at is None:
        return
    seconds = max(0.0, (fact.at - call.session.answered_at) / timedelta(seconds=1))
    trunk = await db.get(Trunk, call.leg.trunk_id) if call.leg.trunk_id is not None else None
    price = trunk.price_per_minute if trunk is not None else 0.0
    spend = seconds / 60 * price + await humans.spend(db, call.id, fact.at)
    await entries.use(db, order.api_key_id, fact.at, seconds=seconds, spend=spend)


async def tell_trunk(
    db: AsyncSession, leg: Leg, policy: Policy, fact: transitions.DialFailed, cause: Cause
) -> None:
    """Note what a failed dial says of the trunk that its leg took."""
    if leg.trunk_id is None or (fact.sip_status is None and fact.kind in _OUR_OWN):
        return
    said = f"SIP {fact.sip_status} {fact.sip_reason}".strip() if fact.sip_status else fact.kind
    match policy:
        case Policy.BACK_OFF:
            await pace.refused(db, leg.trunk_id, cause, fact.at)
        case Policy.STOP_DESTINATION:
            prefix = country_prefix(leg.to_phone_number)
            await pace.stop_destination(db, leg.trunk_id, prefix, said, fact.at)
        case Policy.STOP_TRUNK if fact.kind is not DialFailureKind.BAD_REQUEST:
            await pace.stop(db, leg.trunk_id, said, fact.at)
        case _ if fact.sip_status is not None or fact.kind is DialFailureKind.RING_TIMEOUT:
            await pace.took_the_call(db, leg.trunk_id)


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
        await steps.finish(db, order, call, OrderStatus.CANCELLED, fact)
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
            await steps.finish(db, order, call, status, fact, rule=rule)
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
    record(
        db,
        order,
        call,
        "held_back",
        at=fact.at,
        stored_at=fact.at,
        status=order.status,
        rule=rule,
        until=again.at,
        reason=call.leg.dial_error or call.session.result if own else cause,
        detail=call.session.detail,
    )


def _waits_on_the_trunk(call: Call, policy: Policy, fact: transitions.Fact) -> bool:
    """Return whether the trunk, not the order, decides when it goes on."""
    if call.leg.trunk_id is None or not isinstance(fact, transitions.DialFailed):
        return False
    if fact.sip_status is None and fact.kind in _OUR_OWN | {DialFailureKind.BAD_REQUEST}:
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
    steps.hold(
        db,
        order,
        call,
        until=None if parked else fact.at,
        rule=Rule.PAUSED if order.paused_at is not None else rule,
        fact=fact,
        reason=call.leg.dial_error,
        sip_status=call.leg.sip_status,
    )


async def _as_the_gate_says(
    db: AsyncSession, order: CallOrder, call: Call, answer: Wait | Never, fact: transitions.Fact
) -> None:
    if isinstance(answer, Never):
        await steps.forbid(db, order, call, answer.rule, fact)
    else:
        steps.hold(db, order, call, until=answer.until, rule=answer.rule, fact=fact)
