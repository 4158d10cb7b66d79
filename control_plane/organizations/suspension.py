"""Suspended organizations: no new call either way; live ones end as they are.

The gate asks about orders; here is who is suspended, and what a resumption lets go.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import exists, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Organization
from control_plane.domain.call_order import WAITING
from control_plane.domain.errors import Conflict
from control_plane.domain.gate import Rule
from control_plane.orders import held

_HELD = (
    # As literals, or PostgreSQL's plan for any value could not use their index.
    CallOrder.waiting_rule == literal_column(f"'{Rule.ORGANIZATION_SUSPENDED}'"),
    CallOrder.due_at.is_(None),
)
_AT_ONCE = 500
_MOST_OWNERS = 100


async def suspended_of(db: AsyncSession, organization_ids: Collection[str]) -> frozenset[str]:
    """Return which of these organizations are suspended, as of now and until the commit.

    Whoever suspends one waits for whom it would otherwise overtake.
    """
    rows = await db.execute(
        select(Organization.id, Organization.suspended_at)
        .where(Organization.id.in_(sorted(organization_ids)))
        .order_by(Organization.id)
        .with_for_update(read=True)
    )
    return frozenset(key for key, since in rows if since is not None)


async def all_suspended(db: AsyncSession) -> frozenset[str]:
    """Return every organization that is suspended."""
    rows = await db.scalars(select(Organization.id).where(Organization.suspended_at.is_not(None)))
    return frozenset(rows)


def check_active(owner: Organization) -> None:
    """Find out whether the organization may place orders.

    Raises:
        Conflict: it is suspended.
    """
    if owner.suspended_at is not None:
        raise Conflict(
            "the organization is suspended and places no calls until whoever runs this "
            f"installation resumes it: `offhook org resume {owner.id}`"
        )


async def resumed(db: AsyncSession) -> list[str]:
    """Return organizations that are not suspended and have orders which that still holds."""
    rows = await db.scalars(
        select(Organization.id)
        .where(
            Organization.suspended_at.is_(None),
            exists().where(CallOrder.organization_id == Organization.id, *_HELD),
        )
        .limit(_MOST_OWNERS)
    )
    return list(rows)


async def release_some(db: AsyncSession, organization_id: str, *, now: datetime) -> int:
    """Let the gate look again at a few orders that a suspension held; say how many."""
    owned = CallOrder.organization_id == organization_id
    waiting = CallOrder.status.in_(WAITING)
    return await held.release(db, owned, *_HELD, waiting, now=now, limit=_AT_ONCE)
