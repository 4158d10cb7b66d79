"""Other schedules with every commit, the same ones again with the same commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_DIGITS = 8


def first_seed() -> int:
    """Return OFFHOOK_TEST_SEED, or the commit's first digits; 0 where there is no git."""
    given = os.environ.get("OFFHOOK_TEST_SEED")
    if given is not None:
        return int(given)
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(told.stdout[:_DIGITS], 16)
