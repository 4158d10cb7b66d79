"""Slow name servers: whoever owns one holds up their own look-ups, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from process.lookups import AT_ONCE, Lookups, domain_of

pytestmark = pytest.mark.unit

LIMIT_S = 10.0


class Names:
    """Look-ups of `slow.test` hang until they are let go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def look_up(self, host: str, port: int) -> list[Any]:
        with self.lock:
            self.asked.append(host)
        if host.endswith("slow.test"):
            assert self.let_go.wait(LIMIT_S)
        if host.startswith("none."):
            raise OSError("no such name")
        return [host, port]


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.let_go.set()


def test_a_domain_that_hangs_does_not_hold_up_another(names: Names) -> None:
    lookups = Lookups(names.look_up)
    hanging = [lookups.look_up(f"n{n}.slow.test", 443) for n in range(200)]
    for n in range(100):
        found = lookups.look_up(f"api{n}.example.com", 443)
        assert found.result(timeout=LIMIT_S) == [f"api{n}.example.com", 443]
    assert sum(host.endswith("slow.test") for host in names.asked) == AT_ONCE
    names.let_go.set()
    for n, each in enumerate(hanging):
        assert each.result(timeout=LIMIT_S) == [f"n{n}.slow.test", 443]


def test_one_look_up_answers_all_who_ask_at_that_time(names: Names) -> None:
    lookups = Lookups(names.look_up)
    first, second = lookups.look_up("a.slow.test", 443), lookups.look_up("a.slow.test", 443)
    names.let_go.set()
    assert first.result(timeout=LIMIT_S) == second.result(timeout=LIMIT_S)
    assert names.asked == ["a.slow.test"]
    assert lookups.look_up("a.slow.test", 443).result(timeout=LIMIT_S) == ["a.slow.test", 443]
    assert len(names.asked) == 2


def test_a_line_has_an_end(names: Names) -> None:
    lookups = Lookups(names.look_up)
    asked = [lookups.look_up(f"n{n}.slow.test", 443) for n in range(400)]
    with pytest.raises(OSError, match=r"too many look-ups of slow\.test are waiting"):
        asked[-1].result(timeout=LIMIT_S)


def test_a_failure_is_told_and_the_line_goes_on(names: Names) -> None:
    lookups = Lookups(names.look_up)
    for n in range(2 * AT_ONCE):
        with pytest.raises(OSError, match="no such name"):
            lookups.look_up(f"none.n{n}.example.com", 443).result(timeout=LIMIT_S)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("A.B.Example.COM.", "example.com"),
        ("a.example.co.uk", "example.co.uk"),
        ("a.b.example.com.au", "example.com.au"),
        ("co.uk", "co.uk"),
        ("hooks.example.de", "example.de"),
        ("localhost", "localhost"),
    ],
)
def test_whose_a_name_is(host: str, domain: str) -> None:
    assert domain_of(host) == domain
