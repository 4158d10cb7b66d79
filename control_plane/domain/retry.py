"""What an order does after an attempt that reached nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import Policy
from control_plane.domain.waiting import Cause

FIRST_BACK_OFF_SECS = 5
LONGEST_BACK_OFF_SECS = 300
PROVIDER_TRIES = 3


class TryAgain(Struct, frozen=True):
    """Another attempt, at `at` at the earliest."""

    at: datetime


class Finish(Struct, frozen=True):
    """No other attempt; the order ends in `status`."""

    status: OrderStatus


_COMPLETES = {Policy.RETRY, Policy.DECLINED, Policy.DECLINED_FOR_GOOD}

RetryDecision = TryAgain | Finish


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
