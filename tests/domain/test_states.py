"""Transitions of orders and attempts, the gate, back-off, variables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain import attempt, call_order
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import Policy
from control_plane.domain.errors import IllegalTransition, MissingVariable
from control_plane.domain.gate import GateView, Go, Never, Rule, Wait, gate
from control_plane.domain.retry import Finish, TryAgain, after_failure, back_off
from control_plane.domain.variables import require_values
from tests.factories import spec

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def test_every_status_has_its_transitions() -> None:
    assert set(call_order.TRANSITIONS) == set(OrderStatus)
    assert set(attempt.TRANSITIONS) == set(AttemptStatus)
    finals = {status for status in OrderStatus if call_order.is_final(status)}
    assert finals == {OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.ERRORED}


@pytest.mark.parametrize("current", OrderStatus)
@pytest.mark.parametrize("to", OrderStatus)
def test_orders_move_by_the_table_only(current: OrderStatus, to: OrderStatus) -> None:
    if to is current or to in call_order.TRANSITIONS[current]:
        assert call_order.move(current, to) is to
    else:
        with pytest.raises(IllegalTransition):
            call_order.move(current, to)


@pytest.mark.parametrize("to", AttemptStatus)
def test_a_closed_attempt_stays_closed(to: AttemptStatus) -> None:
    for final in (AttemptStatus.COMPLETED, AttemptStatus.ERROR):
        if to is not final:
            with pytest.raises(IllegalTransition):
                attempt.move(final, to)


@pytest.mark.parametrize(
    ("view", "decision"),
    [
        (GateView(), Go()),
        (GateView(cancel_requested=True, force_now=True), Never(Rule.CANCELLED)),
        (GateView(scheduled_at=LATER), Wait(LATER, Rule.SCHEDULED_AT)),
        (GateView(scheduled_at=NOW), Go()),
        (GateView(scheduled_at=LATER, force_now=True), Go()),
        (GateView(not_before=LATER), Wait(LATER, Rule.BACK_OFF)),
        (GateView(not_before=LATER, force_now=True), Wait(LATER, Rule.BACK_OFF)),
    ],
)
def test_the_gate(view: GateView, decision: object) -> None:
    assert gate(view, NOW) == decision


def test_back_off_doubles_up_to_five_minutes() -> None:
    seconds = [back_off(count).total_seconds() for count in range(1, 9)]
    assert seconds == [5, 10, 20, 40, 80, 160, 300, 300]


@given(st.integers(-5, 10**9))
def test_back_off_is_always_bounded(count: int) -> None:
    assert timedelta(seconds=5) <= back_off(count) <= timedelta(seconds=300)


@pytest.mark.parametrize("policy", Policy)
def test_only_trouble_of_ours_is_tried_again(policy: Policy) -> None:
    decision = after_failure(policy, uncounted_in_a_row=1, now=NOW)
    match policy:
        case Policy.BACK_OFF:
            assert decision == TryAgain(NOW + timedelta(seconds=5))
        case Policy.RETRY | Policy.DECLINED | Policy.DECLINED_FOR_GOOD:
            assert decision == Finish(OrderStatus.COMPLETED)
        case _:
            assert decision == Finish(OrderStatus.ERRORED)


@pytest.mark.parametrize(
    "field", ["prompt", "first_sentence", "end_of_call_sentence", "max_duration_end_message"]
)
def test_a_variable_without_a_value_is_named(field: str) -> None:
    told = spec(**{field: "Hello {{ name }} and {{other}}"})
    with pytest.raises(MissingVariable) as refused:
        require_values(told, {"other": "x"})
    assert refused.value.field == "prompt_variables.name"
    assert field in refused.value.detail
    require_values(told, {"other": "x", "name": "y"})
