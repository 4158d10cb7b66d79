"""How many tries each may have under way, by the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.webhooks.shares import Shares
from scheduler.deliver import MOST_PER_RECEIVER, MOST_UNDER_WAY

pytestmark = pytest.mark.unit


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), max_size=1_000))
def test_whoever_comes_next_finds_something_free(asked: list[tuple[int, int]]) -> None:
    shares = Shares(most=MOST_UNDER_WAY, per_receiver=MOST_PER_RECEIVER)
    for organization, receiver in asked:
        shares.take(f"o{organization}", f"r{receiver}")
        assert shares.count(f"o{organization}", f"r{receiver}") <= MOST_PER_RECEIVER
        assert shares.count(f"o{organization}") <= MOST_UNDER_WAY // 2
    assert shares.free >= MOST_UNDER_WAY // (13 + 1)
    assert shares.copy().take("another", "receiver")


def test_a_share_is_given_back() -> None:
    shares = Shares(most=4, per_receiver=2)
    assert shares.take("o", "a")
    assert shares.take("o", "b")
    assert not shares.take("o", "c")
    assert list(shares.full_organizations()) == ["o"]
    assert set(shares.full_receivers()) == {("o", "a"), ("o", "b")}
    shares.give_back("o", "a")
    assert shares.full_organizations() == []
    assert shares.take("o", "c")
