"""The one table from SIP answers to words and policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.dial_errors import (
    DialError,
    DialFailureKind,
    Policy,
    meaning,
    of_kind,
    of_status,
)
from sip.ports import DialFailureKind as SipKind

pytestmark = pytest.mark.unit

TABLE = {
    404: ("number_non_attributed", Policy.END),
    410: ("number_non_attributed", Policy.END),
    484: ("number_non_attributed", Policy.END),
    604: ("number_non_attributed", Policy.END),
    486: ("busy", Policy.RETRY),
    600: ("busy", Policy.RETRY),
    480: ("temporarily_unavailable", Policy.RETRY),
    408: ("no_answer", Policy.RETRY),
    487: ("no_answer", Policy.RETRY),
    429: ("too_many_calls", Policy.BACK_OFF),
    503: ("too_many_calls", Policy.BACK_OFF),
    500: ("non_classified_error", Policy.BACK_OFF),
    502: ("non_classified_error", Policy.BACK_OFF),
    504: ("non_classified_error", Policy.BACK_OFF),
    403: ("no_international_permission", Policy.STOP_DESTINATION),
    401: ("precondition_failed", Policy.STOP_TRUNK),
    407: ("precondition_failed", Policy.STOP_TRUNK),
    603: ("non_classified_error", Policy.DECLINED),
    607: ("non_classified_error", Policy.DECLINED_FOR_GOOD),
    608: ("non_classified_error", Policy.DECLINED_FOR_GOOD),
}


@pytest.mark.parametrize("status", TABLE)
def test_the_design_table(status: int) -> None:
    found = of_status(status)
    assert (found.dial_error, found.policy) == TABLE[status]


@given(st.integers(300, 699).filter(lambda status: status not in TABLE))
def test_every_other_status_is_retried(status: int) -> None:
    assert of_status(status) == of_kind(DialFailureKind.OUTCOME_UNKNOWN)
    assert of_status(status).policy is Policy.RETRY


def test_every_kind_has_a_meaning_and_every_word_is_used() -> None:
    words = {of_kind(kind).dial_error for kind in DialFailureKind}
    words |= {of_status(status).dial_error for status in range(300, 700)}
    assert words == set(DialError)


def test_the_sip_package_and_the_domain_use_the_same_kinds() -> None:
    assert [kind.value for kind in SipKind] == [kind.value for kind in DialFailureKind]


def test_a_status_says_more_than_the_kind() -> None:
    assert meaning(486, DialFailureKind.BAD_REQUEST).dial_error is DialError.BUSY
    assert meaning(None, DialFailureKind.RING_TIMEOUT).dial_error is DialError.NO_ANSWER


@pytest.mark.parametrize("policy", Policy)
def test_only_the_callee_costs_an_attempt(policy: Policy) -> None:
    ours = {Policy.BACK_OFF, Policy.STOP_DESTINATION, Policy.STOP_TRUNK}
    counted = {of_status(s).counted for s in range(300, 700) if of_status(s).policy is policy}
    assert counted == {policy not in ours}
