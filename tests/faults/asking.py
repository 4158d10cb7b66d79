"""Orders for the far end's numbers, each with its own pair of numbers: INVITEs tell them apart."""

from __future__ import annotations

import logging
import os
import random
import time
from typing import Any

from tests.faults.stage import Stage

log = logging.getLogger(__name__)

BUSY, DECLINED, NO_ANSWER = "+12025550102", "+12025550103", "+12025550104"
UNAVAILABLE, UNKNOWN = "+12025550105", "+12025550106"
DROPS, SILENCE = "+12025550110", "+12025550112"
SCENARIOS = (BUSY, DECLINED, DROPS, SILENCE, UNAVAILABLE, UNKNOWN)
LONG_DIAL = 40
"""One order in so many rings until it is given up, so that a fault meets a dial under way."""
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
ALL_DAY = {"calling_window_start_time": "0:00", "calling_window_end_time": "24:00"}


def seeded() -> random.Random:
    """Return the test's chance, its seed printed."""
    seed = int(os.environ.get("OFFHOOK_TEST_SEED", time.time_ns() % 1_000_000))
    log.warning("OFFHOOK_TEST_SEED=%s asks for the same again", seed)
    return random.Random(seed)


def body(number: str, caller: str, *, attempts: int = 1, stay: float = 0.0) -> dict[str, Any]:
    """Return an order to call now, tried again at once where nobody is reached.

    Args:
        attempts: at most so many that count.
        stay: seconds that the agent stays on the line.
    """
    retries = {"max_retry_attempts": attempts, "call_twice_in_a_row": True}
    return {
        "phone_number": number,
        "from_phone_number": caller,
        "force_now": True,
        "call_retry_config": {**retries, "allowed_days": DAYS, "calling_windows": [ALL_DAY]},
        "prompt_variables": {"stay": f"{stay:.2f}"},
    }


def place(stage: Stage, rows: list[dict[str, Any]]) -> list[str]:
    """Place orders together; returns their ids in the same order."""
    answer = stage.api.post("/call/batch", {"calls": rows})
    assert answer["refused"] == 0, answer["errors"]
    return [row["id"] for row in answer["calls"]]


def mixture(stage: Stage, count: int, chance: random.Random) -> list[str]:
    """Place orders for every scenario, shuffled; some are tried twice."""
    scenarios = [
        NO_ANSWER if n % LONG_DIAL == 0 else SCENARIOS[n % len(SCENARIOS)] for n in range(count)
    ]
    callers = stage.callers(-(-count // len(SCENARIOS)))
    pairs = [(scenario, callers[n // len(SCENARIOS)]) for n, scenario in enumerate(scenarios)]
    chance.shuffle(pairs)
    return place(
        stage,
        [
            body(scenario, caller, attempts=chance.choice((1, 1, 2)), stay=chance.uniform(0, 1))
            for scenario, caller in pairs
        ],
    )
