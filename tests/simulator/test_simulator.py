"""The order book under simulated faults: no schedule breaks a promise, every planted bug does."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.simulator.commit import first_seed
from tests.simulator.mutants import MUTANTS, planted
from tests.simulator.run import Simulator

pytestmark = pytest.mark.db

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = int(os.environ.get("OFFHOOK_TEST_SCHEDULES", "300"))
REPLAYED = (5, 16, 134, 316)
UNTIL_FOUND = 3_000
SHOWN_BY = {
    "no_fence": 16,
    "blind_redial": 5,
    "late_invite": 16,
    "no_dial_deadline": 40,
    "no_second_gate": 5,
    "cancel_ignored": 19,
    "slot_leak": 6,
    "slots_ignored": 272,
    "lost_outbox_row": 0,
    "double_claim": 0,
    "wrong_zone": 1,
    "faults_burn_attempts": 13,
    "no_deadline": 3,
    "pace_ignored": 28,
    "trunk_overfilled": 215,
    "lease_never_expires": 2,
    "twice_final": 0,
    "rooms_left": 0,
    "pause_forgotten": 645,
    "lists_unread": 35,
}
"""A schedule that shows each, where the look for it begins: others may do so as well."""


def simulate(*options: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.simulator", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900 + SCHEDULES // 2)  # it yields to the tests that it runs beside
def test_no_schedule_breaks_a_promise() -> None:
    done = simulate("--runs", str(SCHEDULES), "--seed", str(first_seed()), "--workers", "2")
    assert done.stdout.splitlines()[-2:] == [f"schedules: {SCHEDULES}", "violations: 0"], (
        done.stdout[-4_000:] + done.stderr[-2_000:]
    )
    assert done.returncode == 0


@pytest.mark.timeout(900)
def test_a_seed_replays_exactly() -> None:
    seeds = [str(seed) for seed in REPLAYED]
    first, again = (
        simulate("--replay", *seeds, "--trace", hash_seed=hash_seed) for hash_seed in "12"
    )
    assert first.stdout.count("\n") > 10 * len(REPLAYED), first.stderr
    assert first.stdout == again.stdout


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Return a simulator in this process, which is given its log and its garbage back."""
    log, thresholds = structlog.get_config(), gc.get_threshold()
    yield Simulator()
    structlog.configure(**log)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # a process that dies leaves much behind
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_planted_bug_is_noticed(simulator: Simulator, name: str) -> None:
    """In one schedule at the least, which breaks no promise without the bug."""
    began = SHOWN_BY.get(name, 0)
    with planted(name):
        seed = next(s for s in looked_through(began) if simulator.run(s).violations)
    assert simulator.run(seed).violations == []
    if seed != began:
        log.warning("%s is shown by the schedule %d now: note it in SHOWN_BY", name, seed)


def looked_through(began: int) -> Iterator[int]:
    """Yield the seeds in which a bug must show, `began` before all others."""
    yield from itertools.chain((began,), range(UNTIL_FOUND))
    raise AssertionError(f"not noticed in {UNTIL_FOUND} schedules")
