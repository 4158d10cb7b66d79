"""What a process holds, against its limits; what it gives back when idle."""

from __future__ import annotations

import gc
import weakref

import pytest

from process import wear
from process.wear import Held, Limits, Worn

pytestmark = pytest.mark.unit

START = Held(500.0, 20)


@pytest.mark.parametrize(
    ("now", "limits", "why"),
    [
        (Held(600.0, 30), Limits(100, 10), None),
        (Held(600.5, 20), Limits(100, 10), Worn.MEMORY),
        (Held(500.0, 31), Limits(100, 10), Worn.THREADS),
        (Held(400.0, 10), Limits(100, 10), None),
        (Held(9_000.0, 900), Limits(0, 0), None),
    ],
)
def test_growth_since_the_start_is_judged(now: Held, limits: Limits, why: Worn | None) -> None:
    assert wear.worn(now, START, limits) is why


def test_what_is_held_is_seen() -> None:
    before = wear.look()
    block = bytearray(b"x") * 50_000_000
    assert 45.0 < wear.look().memory_mb - before.memory_mb < 60.0
    del block
    assert before.threads >= 1


class Circle:
    def __init__(self) -> None:
        self.me = self


def test_what_refers_to_itself_is_given_back() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Circle())
        assert gone() is not None
        wear.tidy()
        assert gone() is None
    finally:
        gc.enable()
