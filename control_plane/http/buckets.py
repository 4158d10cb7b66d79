"""How often somebody may ask: buckets of tokens that refill evenly."""

from __future__ import annotations

import math
from collections import OrderedDict

from control_plane.domain.errors import TooMany

_BURST_SECS = 1.0
_MOST = 10_000


class Buckets:
    """A bucket for each name; each process counts for itself."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def take(self, name: str, per_minute: int, now: float, *, burst: int | None = None) -> None:
        """Take a token from a bucket.

        Args:
            burst: how many it holds; None: a second's worth, and ten where that is little.

        Raises:
            TooMany: it is empty; tells when to come again.
        """
        rate = per_minute / 60
        most = burst or max(1.0, rate * _BURST_SECS, min(per_minute, 10))
        tokens, at = self._buckets.pop(name, (most, now))
        now = max(now, at)  # whoever had to look its key up comes with an older time
        tokens = min(most, tokens + (now - at) * rate)
        self._buckets[name] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            raise TooMany(
                f"more than {per_minute} requests a minute: wait, or ask for a higher limit",
                retry_after_secs=max(1, math.ceil((1 - tokens) / rate)),
            )
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
