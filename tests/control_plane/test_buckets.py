"""How often somebody may ask, on a clock that the test turns."""

from __future__ import annotations

import pytest

from control_plane.domain.errors import TooMany
from control_plane.http.buckets import _MOST, Buckets

pytestmark = pytest.mark.unit


def refused(buckets: Buckets, per_minute: int, now: float, burst: int | None = None) -> int | None:
    """Return how many seconds to wait, None where a token was there."""
    try:
        buckets.take("me", per_minute, now, burst=burst)
    except TooMany as exc:
        return exc.retry_after_secs
    return None


@pytest.mark.parametrize(
    ("per_minute", "burst", "held"), [(1, None, 1), (60, None, 10), (6000, None, 100), (60, 3, 3)]
)
def test_a_bucket_holds_a_burst_and_refills_evenly(
    per_minute: int, burst: int | None, held: int
) -> None:
    buckets, every = Buckets(), 60 / per_minute
    assert [refused(buckets, per_minute, 1e6, burst) for _ in range(held)] == [None] * held
    assert refused(buckets, per_minute, 1e6, burst) is not None
    assert refused(buckets, per_minute, 1e6 + 0.9 * every, burst) is not None
    for n in range(1, 4):
        assert refused(buckets, per_minute, 1e6 + n * every, burst) is None
        assert refused(buckets, per_minute, 1e6 + n * every, burst) is not None
    later = 1e6 + 10 * held * every  # never more than it holds
    assert [refused(buckets, per_minute, later, burst) for _ in range(held)] == [None] * held
    assert refused(buckets, per_minute, later, burst) is not None


def test_who_is_refused_is_told_the_second_at_which_it_will_do() -> None:
    buckets = Buckets()
    assert refused(buckets, 3, 0.0, 1) is None
    assert refused(buckets, 3, 0.0, 1) == 20
    assert refused(buckets, 3, 7.5, 1) == 13
    assert refused(buckets, 3, 19.999, 1) == 1
    assert refused(buckets, 3, 20.0, 1) is None


def test_a_higher_limit_holds_at_once() -> None:
    buckets = Buckets()
    assert refused(buckets, 1, 0.0) is None
    assert refused(buckets, 1, 0.0) == 60
    assert refused(buckets, 600, 0.11) is None


def test_an_older_time_takes_a_token_and_gives_none() -> None:
    buckets = Buckets()
    answers = [refused(buckets, 60, now, 3) for now in (100.0, 40.0, 100.0, 100.0)]
    assert answers == [None, None, None, 1]


def test_names_are_kept_apart_and_the_one_unused_for_longest_is_forgotten() -> None:
    buckets = Buckets()
    assert refused(buckets, 1, 0.0) is None
    for n in range(_MOST - 1):
        buckets.take(f"another {n}", 1, 0.0)
    assert refused(buckets, 1, 0.0) == 60  # used last now
    for n in range(_MOST - 1):
        buckets.take(f"a third {n}", 1, 0.0)
    assert refused(buckets, 1, 0.0) == 60
    for n in range(_MOST):
        buckets.take(f"a fourth {n}", 1, 0.0)
    assert refused(buckets, 1, 0.0) is None
