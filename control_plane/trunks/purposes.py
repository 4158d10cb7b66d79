"""Trunks of our own: which they are, and when they become somebody else's."""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.errors import BadInput, Conflict


def reach(row: Trunk) -> tuple[object, ...]:
    """Return what a start sets on trunks of our own; changed by anybody else, it is theirs."""
    return row.address, row.username, row.secret_id, row.allowed_addresses


def check_purpose(row: Trunk, others: Sequence[Trunk]) -> None:
    """Check a trunk beside the organization's others.

    Raises:
        BadInput: it cannot serve that purpose.
        Conflict: another one does.
    """
    if row.purpose is Purpose.SIMULATOR and row.direction != Direction.OUTBOUND:
        raise BadInput("the carrier simulator takes an outbound trunk", field="purpose")
    if row.purpose is None:
        return
    for other in others:
        if other.purpose is row.purpose and other.id != row.id:
            raise Conflict(
                f"the trunk {other.name!r} has the purpose {row.purpose}: delete it first",
                field="purpose",
            )
