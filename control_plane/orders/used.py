"""What an attempt used and what that cost, as it is stored with the attempt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
from msgspec import Struct

from control_plane.db.models.attempt import Attempt
from control_plane.domain import prices
from control_plane.domain.prices import Cost, Prices
from control_plane.domain.usage import Used, added


class Usage(Struct, frozen=True):
    """Both; the cost is that of the prices when the usage was told, and stays."""

    parts: list[Used]
    cost: Cost

    @classmethod
    def priced(cls, parts: Iterable[Used], table: Prices) -> Self:
        """Return the usage with its cost."""
        whole = added(parts)
        return cls(whole, prices.cost_of(whole, table))

    def stored(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def usage_of(attempt: Attempt) -> Usage | None:
    """Return what an attempt used, or null: nobody knows, or not yet."""
    return None if attempt.usage is None else msgspec.convert(attempt.usage, Usage)


def cost_of_order(attempts: Sequence[Attempt]) -> Cost | None:
    """Return the sum over the attempts; null while one of them has not told what it used.

    An attempt that no agent was ever sent to used nothing.
    """
    sums = []
    for attempt in attempts:
        usage = usage_of(attempt)
        if usage is None and attempt.closed_at is not None and attempt.brief_taken_at is None:
            continue
        sums.append(usage.cost if usage is not None else None)
    return prices.total(sums)
