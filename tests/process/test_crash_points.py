"""Crash points: each is passed at exactly one place, and one that is armed kills."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process import crash_points

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PASSED = 'from process import crash_points as c; c.arm_from("after_ready:2"); c.here("after_ready")'


def test_each_point_is_passed_at_one_place() -> None:
    found = [
        name
        for path in sorted((ROOT / "scheduler").glob("*.py"))
        for name in re.findall(r'crash_points\.here\("(\w+)"\)', path.read_text())
    ]
    assert sorted(found) == sorted(crash_points.POINTS)


@pytest.mark.parametrize(
    ("more", "status"), [("", 0), ('; c.here("after_ready")', -signal.SIGKILL)]
)
def test_the_process_dies_at_the_point_named(more: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", PASSED + more], cwd=ROOT, check=False)
    assert done.returncode == status


def test_an_unknown_point_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="after_redy"):
        crash_points.arm_from("after_redy")
