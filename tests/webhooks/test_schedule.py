"""When a message is tried again: the table, and its rules for any answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.delivery import (
    JITTER,
    LONGEST_RETRY_AFTER,
    WAITS,
    Delivered,
    Exhausted,
    Gone,
    TryAgain,
    decide,
    is_event_type,
    is_wanted,
    wait_asked_for,
)

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILING = st.one_of(
    st.none(), st.integers(100, 199), st.integers(300, 599).filter(lambda s: s != 410)
)


def test_the_ten_tries_of_the_schedule() -> None:
    at, times = NOW, [timedelta()]
    for failures in range(9):
        verdict = decide(500, failures=failures, now=at, jitter=0.0)
        assert isinstance(verdict, TryAgain)
        at = verdict.at
        times.append(at - NOW)
    assert decide(500, failures=9, now=at, jitter=0.0) == Exhausted()
    hours = [0, 0, 0, 0, 2, 7, 17, 31, 51, 75]
    minutes = [0, 0, 5, 35, 35, 35, 35, 35, 35, 35]
    seconds = [0, *[5] * 9]
    assert times == [
        timedelta(hours=h, minutes=m, seconds=s)
        for h, m, s in zip(hours, minutes, seconds, strict=True)
    ]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (299, Delivered()),
        (410, Gone()),
        (None, TryAgain(NOW + WAITS[0])),
        (199, TryAgain(NOW + WAITS[0])),
        (301, TryAgain(NOW + WAITS[0])),
        (404, TryAgain(NOW + WAITS[0])),
        (500, TryAgain(NOW + WAITS[0])),
    ],
)
def test_what_an_answer_means(status: int | None, verdict: object) -> None:
    assert decide(status, failures=0, now=NOW, jitter=0.0) == verdict


@given(
    status=FAILING,
    failures=st.integers(0, 8),
    jitter=st.floats(0, 1),
    asked=st.one_of(st.none(), st.text(), st.integers(0, 10**12).map(str)),
)
def test_a_wait_is_never_shorter_than_the_schedule_nor_longer_than_a_day_and_its_jitter(
    status: int | None, failures: int, jitter: float, asked: str | None
) -> None:
    verdict = decide(status, failures=failures, now=NOW, jitter=jitter, retry_after=asked)
    assert isinstance(verdict, TryAgain)
    wait = verdict.at - NOW
    assert WAITS[failures] <= wait <= LONGEST_RETRY_AFTER * (1 + JITTER)


@given(status=FAILING, failures=st.integers(9, 50), jitter=st.floats(0, 1))
def test_it_ends(status: int | None, failures: int, jitter: float) -> None:
    assert decide(status, failures=failures, now=NOW, jitter=jitter) == Exhausted()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_obeyed(status: int) -> None:
    date = format_datetime(NOW + timedelta(hours=1), usegmt=True)
    for asked in ("3600", date):
        verdict = decide(status, failures=0, now=NOW, jitter=0.0, retry_after=asked)
        assert verdict == TryAgain(NOW + timedelta(hours=1))
    verdict = decide(status, failures=0, now=NOW, jitter=0.0, retry_after="99999999999999")
    assert verdict == TryAgain(NOW + LONGEST_RETRY_AFTER)


def test_retry_after_means_nothing_in_other_answers() -> None:
    for status in (None, 302, 404):
        verdict = decide(status, failures=0, now=NOW, jitter=0.0, retry_after="3600")
        assert verdict == TryAgain(NOW + WAITS[0])


@pytest.mark.parametrize("asked", ["", "soon", "-5", "1.5", "١", "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_an_unreadable_retry_after_is_none(asked: str) -> None:
    assert wait_asked_for(asked, now=NOW) == timedelta()


@given(st.text())
def test_any_retry_after_is_survived(asked: str) -> None:
    assert timedelta() <= wait_asked_for(asked, now=NOW) <= LONGEST_RETRY_AFTER


def test_filters() -> None:
    assert is_wanted("call.ringing", [])
    assert is_wanted("call.ringing", ["call.*"])
    assert is_wanted("call.ringing", ["call.completed", "call.ringing"])
    assert not is_wanted("call.ringing", ["call.completed", "campaign.*"])
    good = ("call.completed", "call.*", "call.no_answer", "campaign.launched", "campaign.*")
    assert all(is_event_type(text) for text in good)
    bad = ("", "*", "call", "call.", "call.complete", "calls.*", "campaign.", "campaign.ended")
    assert not any(is_event_type(text) for text in bad)
