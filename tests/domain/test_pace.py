"""How fast a trunk is called: never over its limit, and little of it wasted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain import pace

pytestmark = pytest.mark.unit

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
SECOND = 1_000_000
STALL = SECOND // 10


def left(asked: list[int], rate: float, *, stalls: Collection[int] = ()) -> list[int]:
    """Return when the INVITEs of attempts leave that are ready at `asked` (µs).

    Before those in `stalls` we are busy for `STALL`.
    """
    free_at, invites, times = None, [], []
    clock = 0
    for number, ready in enumerate(asked):
        clock = max(clock, ready) + (STALL if number in stalls else 0)
        now = START + timedelta(microseconds=clock)
        instant, free_at = pace.reserve(free_at, now, calls_per_second=rate)
        clock = max(clock, (instant - START) // timedelta(microseconds=1))
        wait, invites = pace.may_leave(invites, clock, calls_per_second=rate)
        if wait:
            clock += wait
            wait, invites = pace.may_leave(invites, clock, calls_per_second=rate)
            assert not wait
        times.append(clock)
    return times


@given(
    pauses=st.lists(st.integers(0, 400_000), min_size=40, max_size=80),
    rate=st.sampled_from([0.5, 1.0, 3.0, 30.0]),
)
def test_no_second_sees_more_invites_than_the_trunk_takes(pauses: list[int], rate: float) -> None:
    asked = [sum(pauses[:n]) for n in range(len(pauses))]
    times = left(asked, rate)
    most = max(1, int(rate))
    span = int(most / rate * SECOND)
    assert all(last - first >= span for first, last in zip(times, times[most:], strict=False)), (
        times
    )


def test_pauses_of_ours_cost_the_trunk_little_of_its_pace() -> None:
    rate, count = 30.0, 600
    times = left([0] * count, rate, stalls=range(39, count, 40))
    used = (count - 1) / (times[-1] - times[0]) * SECOND / rate
    assert used >= 0.96


def test_an_idle_trunk_saves_up_no_burst() -> None:
    rate = 30.0
    times = left([0, *[60 * SECOND] * 30], rate)
    at_once = [at for at in times if 60 * SECOND <= at < 60 * SECOND + 1_000]
    assert len(at_once) <= 0.25 * rate + 1
