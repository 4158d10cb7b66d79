"""What a session used and what that cost, as it is stored with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
from msgspec import Struct

from control_plane.db.models.session import Session
from control_plane.domain import prices
from control_plane.domain.prices import Cost, Prices
from control_plane.domain.usage import ProviderUsage, added


class SessionUsage(Struct, frozen=True):
    """Both; the cost is that of the prices when the usage was told, and stays."""

    parts: list[ProviderUsage]
    cost: Cost

    @classmethod
    def priced(cls, parts: Iterable[ProviderUsage], table: Prices) -> Self:
        """Return the usage with its cost."""
        whole = added(parts)
        return cls(whole, prices.cost_of(whole, table))

    def stored(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def usage_of(session: Session) -> SessionUsage | None:
    """Return what a session used, or null: nobody knows, or not yet."""
    return None if session.usage is None else msgspec.convert(session.usage, SessionUsage)


def earlier_parts(session: Session) -> list[ProviderUsage]:
    """Return what agents of a session used that left before the present one came."""
    before = session.earlier_usage
    return [] if before is None else msgspec.convert(before, SessionUsage).parts


def cost_of_calls(sessions: Sequence[Session]) -> Cost | None:
    """Return the sum over the sessions of one call; null while one has not told what it used.

    An attempt that no agent was ever sent to used nothing.
    """
    sums = []
    for session in sessions:
        usage = usage_of(session)
        if usage is None and session.closed_at is not None and session.brief_taken_at is None:
            continue
        sums.append(usage.cost if usage is not None else None)
    return prices.total(sums)
