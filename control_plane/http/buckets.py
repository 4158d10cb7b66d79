"""How often somebody may ask: buckets of tokens that refill evenly."""

from __future__ import annotations

import math
from collections import OrderedDict

from msgspec import Struct

from control_plane.domain.errors import TooMany

_BURST_SECS = 1.0
_MOST = 10_000


class _Bucket(Struct):
    tokens: float
    at: float


class Buckets:
    """A bucket for each name; each process counts for itself."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, per_minute: int, now: float, *, burst: int | None = None) -> None:
        """Take a token from a bucket.

        Args:
            burst: how many it holds; None: a second's worth, and ten where that is little.

        Raises:
            TooMany: it is empty; tells when to come again.
        """
        rate = per_minute / 60
        most = burst or max(1.0, rate * _BURST_SECS, min(per_minute, 10))
        bucket = self._buckets.setdefault(name, _Bucket(most, now))
        self._buckets.move_to_end(name)
        now = max(now, bucket.at)  # whoever had to look its key up comes with an older time
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise TooMany(
                f"more than {per_minute} requests a minute: wait, or ask for a higher limit",
                retry_after_secs=max(1, math.ceil((1 - bucket.tokens) / rate)),
            )
        bucket.tokens -= 1
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
