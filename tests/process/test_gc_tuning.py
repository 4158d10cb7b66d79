"""What a process that carries sound asks of Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

PROGRAM = """
import gc
from process.gc_tuning import tune_gc
loaded = [[n] for n in range(100_000)]
tune_gc()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 10_000, len(gc.get_objects())
left = [1]
left.append(left)
before = gc.get_stats()[0]["collections"]
kept = [[n] for n in range(20_000)]
assert gc.get_stats()[0]["collections"] > before  # what calls leave behind is still collected
"""


def test_what_is_loaded_is_never_looked_through_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
