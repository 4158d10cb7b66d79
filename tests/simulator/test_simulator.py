"""The order book under simulated faults: no schedule breaks a promise, every planted bug does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.mutants import MUTANTS

pytestmark = pytest.mark.db

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = 10_000
UNTIL_FOUND = 3_000


def simulate(*options: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.simulator", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(1_700)  # it yields to the tests that it runs beside
def test_no_schedule_breaks_a_promise() -> None:
    done = simulate("--runs", str(SCHEDULES), "--workers", "2")
    assert done.stdout.splitlines()[-2:] == [f"schedules: {SCHEDULES}", "violations: 0"], (
        done.stdout[-4_000:] + done.stderr[-2_000:]
    )
    assert done.returncode == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [5, 16, 134, 316])
def test_a_seed_replays_exactly(seed: int) -> None:
    first, again = (
        simulate("--replay", str(seed), "--trace", hash_seed=hash_seed) for hash_seed in "12"
    )
    assert first.stdout.count("\n") > 10, first.stderr
    assert first.stdout == again.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_planted_bug_is_noticed(name: str) -> None:
    done = simulate("--runs", str(UNTIL_FOUND), "--mutant", name, "--stop")
    assert done.returncode == 1, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert int(done.stdout.splitlines()[-1].removeprefix("violations: ")) > 0
