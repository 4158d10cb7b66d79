"""How fast a trunk is called, and when it is left alone for a while."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

_MARGIN = 1.02
"""INVITEs leave a little further apart than allowed, so that jitter breaks no carrier's limit."""

_CATCH_UP = timedelta(seconds=0.25)
"""How much of the pace that went unused while orders waited is made good."""

_AHEAD_SECS = 2.0
"""Agents are made ready for the INVITEs of this long, so that none waits for its agent."""

_REMEMBERED = 10
_TOO_MANY = 5
OPEN_FOR = timedelta(seconds=30)
"""How long an open breaker keeps every call back before it lets one probe through."""


def reserve(
    free_at: datetime | None, now: datetime, *, calls_per_second: float
) -> tuple[datetime, datetime]:
    """Return the instant of the next INVITE, and the one after which another may follow.

    The instant may lie a little in the past: a pause of ours costs the trunk none of its pace.
    """
    instant = now if free_at is None else max(free_at, now - _CATCH_UP)
    return instant, instant + timedelta(seconds=_MARGIN / calls_per_second)


def may_leave(
    invites: Sequence[int], now: int, *, calls_per_second: float
) -> tuple[int, list[int]]:
    """Return how long an INVITE must still wait, and the INVITEs to remember if it need not.

    However late the ones before it left, no second sees more than the trunk takes. Times are
    microseconds.
    """
    at_once = max(1, int(calls_per_second))
    span = int(at_once / calls_per_second * _MARGIN * 1_000_000)
    if len(invites) >= at_once:
        wait = invites[-at_once] + span - now
        if wait > 0:
            return wait, list(invites)
    return 0, [*invites[-at_once:], now]


def most_preparing(calls_per_second: float) -> int:
    """Return how many attempts may be on their way to their INVITE at once."""
    return math.ceil(calls_per_second * _AHEAD_SECS) + 1


def remember(recent: str, *, took_the_call: bool) -> str:
    """Return the last results with this one added, newest last."""
    return (recent + ("." if took_the_call else "x"))[-_REMEMBERED:]


def breaks(recent: str) -> bool:
    """Return whether so many of the last calls failed that the trunk gets a rest."""
    return recent.count("x") >= _TOO_MANY
