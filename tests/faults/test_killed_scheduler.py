"""Schedulers killed at random: nothing lost, nothing doubled (I1, I2, I4, I7; I10: by no hands)."""

from __future__ import annotations

import logging
import os
import random
import time

import pytest

from tests.faults.asking import mixture, seeded
from tests.faults.judging import violations
from tests.faults.stage import Crew, Stage
from tests.system.platform import wait_for

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("OFFHOOK_TEST_KILLS", "3"))
ORDERS = int(os.environ.get("OFFHOOK_TEST_ORDERS", "24"))
AT_ONCE = 2
EVENTS_PER_ORDER = 4
"""At the least: so the kills are over before the orders are."""
EVENTS_LIMIT_S, QUIET_LIMIT_S = 120.0, 60.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 3 * ORDERS)]


def test_killed_schedulers_lose_and_double_nothing(started: Stage) -> None:
    survive(started, orders=ORDERS, kills=KILLS)


def test_killed_schedulers_lose_and_double_nothing_on_postgresql(on_postgresql: Stage) -> None:
    survive(on_postgresql, orders=max(16, ORDERS // 5), kills=max(2, KILLS // 4))


def survive(stage: Stage, *, orders: int, kills: int) -> None:
    """Kill schedulers while they carry out orders, and judge what became of them."""
    chance, began = seeded(), time.monotonic()
    limit_s = 120.0 + 2 * orders
    ids = mixture(stage, orders, chance)
    with stage.crew(AT_ONCE) as crew:
        for _ in range(kills):
            wait_for_events(stage, ids, chance.randrange(1, 2 * EVENTS_PER_ORDER * orders // kills))
            kill_one(crew, chance)
        stage.finished_all(ids, limit_s)
        stage.quiet(QUIET_LIMIT_S)
    log.info("%d kills, %d orders, %.0f s", kills, orders, time.monotonic() - began)
    assert violations(stage, ids) == []


def wait_for_events(stage: Stage, ids: list[str], count: int) -> None:
    """Return once so many more things have happened, or the orders are over."""
    wanted = stage.books.events() + count
    wait_for(lambda: stage.books.events() >= wanted or stage.is_over(ids), bool, EVENTS_LIMIT_S)


def kill_one(crew: Crew, chance: random.Random) -> None:
    crew.kill(chance.choice(crew.members))
    crew.start()
