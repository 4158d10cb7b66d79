"""What the gateway's benchmark reports of its steps."""

from __future__ import annotations

from typing import Any

import pytest

from bench.gateway import WINDOW_S, carried, rows

pytestmark = pytest.mark.unit


def step(calls: int, bad: int) -> dict[str, Any]:
    more = ("pause_ms", "hole_ms", "gateway_cpu", "machine_cpu", "rss_mb", "load")
    return {"calls": calls, "bad": bad, **dict.fromkeys(more, 1.0)}


@pytest.mark.parametrize(
    ("bad", "wanted"), [((0, 0, 0), 20), ((0, 1, 0), 5), ((1, 0, 0), 0), ((), 0)]
)
def test_carried_is_the_last_step_before_the_first_failure(
    bad: tuple[int, ...], wanted: int
) -> None:
    assert carried([step(c, b) for c, b in zip((5, 10, 20), bad, strict=False)]) == wanted


def test_rows_count_the_seconds_of_call_and_tell_the_load() -> None:
    found = rows([step(5, 0), step(10, 2)])
    assert (found[0]["value"], found[0]["n"], found[0]["met"]) == (5, 5 * WINDOW_S, False)
    load = [row for row in found if "load average" in row["measure"]]
    assert [row["n"] for row in load] == [50, 100]
    keys = {"id", "measure", "value", "unit", "n", "peer", "peer_value", "ratio", "goal", "met"}
    assert all(set(row) == keys for row in found)
