"""What a process that carries sound asks of Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import process.importing
import gc
import weakref
from process.gc_tuning import tune_gc
assert not gc.isenabled()
loaded = [[n] for n in range(100_000)]
class Left(list):
    pass
garbage = Left()
garbage.append(garbage)
seen = weakref.ref(garbage)
del garbage
tune_gc()
assert seen() is None  # what loading leaves behind does not stay
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


def test_who_imports_without_garbage_collection_lets_it_begin() -> None:
    mains = {path: path.read_text() for path in ROOT.glob("*/**/__main__.py")}
    without = {path: text for path, text in mains.items() if "import process.importing" in text}
    assert len(without) == 4
    for path, text in without.items():
        first = next(line for line in text.splitlines() if "import" in line and "__" not in line)
        assert first.startswith("import process.importing")
        # The agent's engines are loaded before its server begins.
        begins = text if path.parent.name != "agent" else (path.parent / "server.py").read_text()
        assert re.search(r"^ +(begin_gc|tune_gc)\(\)$", begins, re.MULTILINE), path
