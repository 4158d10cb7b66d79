"""What an order does after an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import CallingWindow, CallRetryConfig, next_open
from control_plane.domain.dial_errors import DialError, Policy
from control_plane.domain.gate import Rule
from control_plane.domain.waiting import Cause

FIRST_BACK_OFF_SECS = 5
LONGEST_BACK_OFF_SECS = 300
PROVIDER_TRIES = 3

END_EVENTS = ("call.completed", "call.no_answer", "call.failed", "call.cancelled")
"""Which tell of an order's end: one of them for each order, and its last."""

_NOBODY_TOOK_IT = {DialError.NO_ANSWER, DialError.TEMPORARILY_UNAVAILABLE, None}
"""None: somebody called us, and went before anybody answered."""
_WITHOUT_A_SLOT = {
    Rule.CONCURRENCY,
    Rule.TRUNK_PACE,
    Rule.TRUNK_BREAKER,
    Rule.TRUNK_STOPPED,
    Rule.DESTINATION_STOPPED,
}


class AttemptOutcome(Struct, frozen=True):
    """How one attempt went; `dial_error` null where the dial is not what failed."""

    answered: bool
    dial_error: DialError | None


class TryAgain(Struct, frozen=True):
    """Another attempt, at `at` at the earliest, because of `rule`."""

    at: datetime
    rule: Rule = Rule.BACK_OFF


class Finish(Struct, frozen=True):
    """No other attempt; the order ends in `status`, because of `rule` where one forbids more."""

    status: OrderStatus
    rule: Rule | None = None


_COMPLETES = {Policy.RETRY, Policy.DECLINED, Policy.DECLINED_FOR_GOOD}

RetryDecision = TryAgain | Finish


def end_event(status: OrderStatus, outcomes: Sequence[AttemptOutcome]) -> str:
    """Return the event of an order that ended as `status`.

    Args:
        outcomes: of its attempts, the last one first; asked for where it was completed.
    """
    match status:
        case OrderStatus.CANCELLED:
            return "call.cancelled"
        case OrderStatus.COMPLETED if any(each.answered for each in outcomes):
            return "call.completed"
        case OrderStatus.COMPLETED if outcomes and outcomes[0].dial_error in _NOBODY_TOOK_IT:
            return "call.no_answer"
        case _:
            return "call.failed"


def waiting_status(rule: Rule | Cause | None) -> OrderStatus:
    """Return whether an order held back by `rule` waits for a slot or for its time."""
    queued = rule is None or isinstance(rule, Cause) or rule in _WITHOUT_A_SLOT
    return OrderStatus.QUEUED_FOR_CALLING if queued else OrderStatus.SCHEDULED


def back_off(failures: int) -> timedelta:
    """Return the wait after `failures` (1, 2, …) in a row: 5, 10, 20 … 300 seconds."""
    doublings = min(max(failures, 1) - 1, 10)
    return timedelta(seconds=min(FIRST_BACK_OFF_SECS * 2**doublings, LONGEST_BACK_OFF_SECS))


def after_abandoned(reason: str, *, hopeless: bool, uncounted_in_a_row: int) -> Policy:
    """Return what follows an attempt given up before any INVITE.

    Our own parts come back; a provider that refuses three times in a row will refuse for ever.
    """
    spent = reason == Cause.PROVIDER_FAILED and uncounted_in_a_row >= PROVIDER_TRIES
    return Policy.STOP_TRUNK if hopeless or spent else Policy.BACK_OFF


def after_failure(policy: Policy, *, uncounted_in_a_row: int, now: datetime) -> RetryDecision:
    """Return what follows a failed dial.

    Args:
        uncounted_in_a_row: failures of our own or the trunk's since the last counted attempt,
            this one included.
    """
    if policy is Policy.BACK_OFF:
        return TryAgain(now + back_off(uncounted_in_a_row))
    if policy in _COMPLETES:
        return Finish(OrderStatus.COMPLETED)
    return Finish(OrderStatus.ERRORED)


def after_attempt(
    policy: Policy,
    *,
    reached_human: bool,
    attempts_made: int,
    uncounted_in_a_row: int,
    config: CallRetryConfig,
    zones: tuple[str, ...],
    window_dialled: CallingWindow | None,
    now: datetime,
    deadline: datetime | None = None,
) -> RetryDecision:
    """Return what follows an attempt that is over.

    Args:
        policy: of a dial that failed; RETRY for a conversation.
        attempts_made: those that count, this one included where it does.
        uncounted_in_a_row: as for `after_failure`.
        window_dialled: the window open when it was dialled; None when none was (`force_now`).
        deadline: the last instant at which the order may be dialled.
    """
    if reached_human:
        return Finish(OrderStatus.COMPLETED)
    if policy is not Policy.RETRY:
        return after_failure(policy, uncounted_in_a_row=uncounted_in_a_row, now=now)
    if attempts_made >= config.max_retry_attempts:
        return Finish(OrderStatus.COMPLETED, Rule.MAX_RETRY_ATTEMPTS)
    at_once = config.call_twice_in_a_row and attempts_made == 1
    window = window_dialled or config.calling_windows[0]
    try:
        after = now if at_once else now + timedelta(seconds=window.retry_delay_seconds)
    except OverflowError:
        return Finish(OrderStatus.ERRORED, Rule.EXPIRED)
    at = next_open(config, zones, after)
    if deadline is not None and (at or after) > deadline:
        return Finish(OrderStatus.ERRORED, Rule.EXPIRED)
    if at is None:
        return Finish(OrderStatus.ERRORED, Rule.CALLING_WINDOWS)
    return TryAgain(at, Rule.RETRY_DELAY)
