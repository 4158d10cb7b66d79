"""What follows an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.call_order import OrderStatus
from control_plane.domain.calling_times import CallingWindow, CallRetryConfig, Weekday, open_at
from control_plane.domain.dial_errors import Policy, of_status
from control_plane.domain.gate import GateView, Go, Recipient, Rule, gate
from control_plane.domain.retry import (
    Finish,
    RetryDecision,
    TryAgain,
    after_attempt,
    after_failure,
)

pytestmark = pytest.mark.unit

PARIS = ("Europe/Paris",)
NOON = datetime(2026, 6, 3, 10, tzinfo=UTC)  # in Paris, on a Wednesday
TOMORROW = datetime(2026, 6, 4, 8, tzinfo=UTC)
MORNING, EVENING = CallingWindow("9:00", "12:30", 600), CallingWindow("5pm", "8pm", 3_600)


def after(policy: Policy = Policy.RETRY, **changes: Any) -> RetryDecision:
    arguments: dict[str, Any] = {
        "reached_human": False,
        "attempts_made": 1,
        "uncounted_in_a_row": 0,
        "config": CallRetryConfig(),
        "zones": PARIS,
        "window_dialled": CallingWindow(),
        "now": NOON,
    }
    return after_attempt(policy, **{**arguments, **changes})


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("attempts_made", [1, 3])
def test_a_human_is_the_end(policy: Policy, attempts_made: int) -> None:
    config = CallRetryConfig(call_twice_in_a_row=True)
    decision = after(policy, reached_human=True, attempts_made=attempts_made, config=config)
    assert decision == Finish(OrderStatus.COMPLETED)


@pytest.mark.parametrize(
    ("policy", "decision"),
    [
        (Policy.END, Finish(OrderStatus.ERRORED)),
        (Policy.DECLINED, Finish(OrderStatus.COMPLETED)),
        (Policy.DECLINED_FOR_GOOD, Finish(OrderStatus.COMPLETED)),
        (Policy.STOP_DESTINATION, Finish(OrderStatus.ERRORED)),
        (Policy.STOP_TRUNK, Finish(OrderStatus.ERRORED)),
        (Policy.BACK_OFF, TryAgain(NOON + timedelta(seconds=20), Rule.BACK_OFF)),
        (Policy.RETRY, TryAgain(NOON + timedelta(hours=2), Rule.RETRY_DELAY)),
    ],
)
def test_each_policy(policy: Policy, decision: RetryDecision) -> None:
    assert after(policy, uncounted_in_a_row=3) == decision
    if policy is not Policy.RETRY:
        assert after_failure(policy, uncounted_in_a_row=3, now=NOON) == decision


@pytest.mark.parametrize("sip_status", [408, 480, 486, 487, 600, 499])
def test_a_dial_that_met_nobody_is_tried_again(sip_status: int) -> None:
    assert isinstance(after(of_status(sip_status).policy), TryAgain)


@pytest.mark.parametrize(("made", "most", "again"), [(1, 1, 0), (1, 2, 1), (2, 3, 1), (3, 3, 0)])
def test_attempts_are_counted_with_the_first(made: int, most: int, again: bool) -> None:
    decision = after(attempts_made=made, config=CallRetryConfig(max_retry_attempts=most))
    assert isinstance(decision, TryAgain) is bool(again)
    if not again:
        assert decision == Finish(OrderStatus.COMPLETED, Rule.MAX_RETRY_ATTEMPTS)


@pytest.mark.parametrize(
    ("window", "at"),
    [
        (MORNING, NOON + timedelta(minutes=10)),
        (EVENING, datetime(2026, 6, 3, 15, tzinfo=UTC)),
        (None, NOON + timedelta(minutes=10)),
    ],
)
def test_the_delay_is_that_of_the_window_dialled_in(
    window: CallingWindow | None, at: datetime
) -> None:
    config = CallRetryConfig(calling_windows=(MORNING, EVENING))
    assert after(config=config, window_dialled=window) == TryAgain(at, Rule.RETRY_DELAY)


def test_a_delay_that_ends_while_closed_lasts_until_the_opening() -> None:
    late = NOON + timedelta(hours=5)
    assert after(now=late) == TryAgain(TOMORROW, Rule.RETRY_DELAY)
    friday = late + timedelta(days=2)
    assert after(now=friday) == TryAgain(TOMORROW + timedelta(days=4), Rule.RETRY_DELAY)


def test_part_of_a_second_is_kept() -> None:
    window = CallingWindow(retry_delay_seconds=0.25)
    assert after(window_dialled=window) == TryAgain(
        NOON + timedelta(milliseconds=250), Rule.RETRY_DELAY
    )


@pytest.mark.parametrize(
    ("made", "most", "at_once"), [(1, 2, True), (1, 3, True), (2, 3, False), (3, 5, False)]
)
def test_twice_in_a_row_is_the_second_only(made: int, most: int, at_once: bool) -> None:
    config = CallRetryConfig(call_twice_in_a_row=True, max_retry_attempts=most)
    delay = timedelta(0) if at_once else timedelta(hours=2)
    assert after(attempts_made=made, config=config) == TryAgain(NOON + delay, Rule.RETRY_DELAY)


def test_twice_in_a_row_keeps_to_the_windows() -> None:
    config = CallRetryConfig(call_twice_in_a_row=True)
    closing = NOON + timedelta(hours=6)
    assert after(config=config, now=closing) == TryAgain(TOMORROW, Rule.RETRY_DELAY)
    once = CallRetryConfig(call_twice_in_a_row=True, max_retry_attempts=1)
    assert after(config=once) == Finish(OrderStatus.COMPLETED, Rule.MAX_RETRY_ATTEMPTS)


@pytest.mark.parametrize("seconds", [9_007_199_254_740_991, 9_007_199_254_740_991.0, 3e11, 605_000])
def test_a_delay_past_the_deadline_is_expiry(seconds: float) -> None:
    window = CallingWindow(retry_delay_seconds=seconds)
    decision = after(window_dialled=window, deadline=NOON + timedelta(days=7))
    assert decision == Finish(OrderStatus.ERRORED, Rule.EXPIRED)


def test_the_deadline_itself_is_in_time() -> None:
    at = NOON + timedelta(hours=2)
    assert after(deadline=at) == TryAgain(at, Rule.RETRY_DELAY)
    early = at - timedelta(microseconds=1)
    assert after(deadline=early) == Finish(OrderStatus.ERRORED, Rule.EXPIRED)


def test_an_opening_past_the_deadline_is_expiry() -> None:
    late = NOON + timedelta(hours=5)
    decision = after(now=late, deadline=TOMORROW - timedelta(seconds=1))
    assert decision == Finish(OrderStatus.ERRORED, Rule.EXPIRED)
    assert after(now=late, deadline=TOMORROW) == TryAgain(TOMORROW, Rule.RETRY_DELAY)


def test_zones_that_are_never_open_together_end_the_order() -> None:
    decision = after(zones=("Europe/Paris", "Pacific/Auckland"))
    assert decision == Finish(OrderStatus.ERRORED, Rule.CALLING_WINDOWS)


times = st.integers(0, 1439).map(lambda minute: f"{minute // 60}:{minute % 60:02}")
windows = st.builds(
    CallingWindow, times, times, st.integers(1, 400_000) | st.floats(0.001, 1e16)
).filter(lambda window: window.calling_window_start_time != window.calling_window_end_time)


@settings(max_examples=300)
@given(
    st.lists(windows, min_size=1, max_size=3).map(tuple),
    st.sets(st.sampled_from(Weekday), min_size=1).map(tuple),
    st.sampled_from([PARIS, ("Australia/Lord_Howe",), ("Australia/Perth", "Australia/Sydney")]),
    st.integers(0, 1_000_000),
    st.integers(1, 5),
    st.integers(1, 5),
    st.booleans(),
)
def test_another_try_is_one_that_the_gate_lets_pass(
    windows: tuple[CallingWindow, ...],
    days: tuple[Weekday, ...],
    zones: tuple[str, ...],
    minute: int,
    made: int,
    most: int,
    twice: bool,
) -> None:
    config = CallRetryConfig(
        allowed_days=days,
        calling_windows=windows,
        max_retry_attempts=most,
        call_twice_in_a_row=twice,
    )
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    deadline = now + timedelta(days=7)
    dialled = open_at(config, zones, now)
    decision = after(
        attempts_made=made,
        config=config,
        zones=zones,
        window_dialled=dialled,
        now=now,
        deadline=deadline,
    )
    match decision:
        case TryAgain(at, rule):
            assert rule is Rule.RETRY_DELAY
            assert made < most
            at_once = twice and made == 1
            delay = 0 if at_once else (dialled or windows[0]).retry_delay_seconds
            assert now + timedelta(seconds=delay) <= at <= deadline
            order = GateView(
                config=config,
                attempts_made=made,
                not_before=at,
                not_before_rule=rule,
                deadline=deadline,
                force_now=True,
            )
            assert gate(order, at, Recipient(zones=zones)) == Go()
        case Finish(status, rule):
            expected = {
                Rule.MAX_RETRY_ATTEMPTS: OrderStatus.COMPLETED,
                Rule.EXPIRED: OrderStatus.ERRORED,
                Rule.CALLING_WINDOWS: OrderStatus.ERRORED,
            }
            assert rule is not None
            assert expected[rule] is status
            assert (rule is Rule.MAX_RETRY_ATTEMPTS) is (made >= most)
