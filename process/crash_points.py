"""Named places where a test may kill the process; nothing happens at them otherwise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "OFFHOOK_CRASH_AT"
POINTS = (
    "before_claim_commit",
    "after_claim_commit",
    "after_room_open",
    "after_ready",
    "before_mark_commit",
    "after_mark_before_invite",
    "after_invite_before_record",
    "after_answer_before_record",
    "before_record_commit",
    "before_close_commit",
    "before_cancel_commit",
)


class _Armed:
    hook: Callable[[str], None] | None = None


def here(name: str) -> None:
    """Pass the point `name`, one of `POINTS`, each passed at one place in the code."""
    if _Armed.hook is not None:
        _Armed.hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """Call `hook` with the name of every point passed; None disarms."""
    _Armed.hook = hook


def arm_from(request: str | None) -> None:
    """Kill this process at a point: `name`, or `name:3` for the third time it is passed.

    Raises:
        ValueError: there is no such point, or the number is not one.
    """
    if not request:
        return
    name, _, number = request.partition(":")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE} names {name!r}; use one of {', '.join(POINTS)}")
    left = int(number or 1)

    def count(passed: str) -> None:
        nonlocal left
        left -= passed == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    arm(count)
