"""What goes on once an organization is resumed: the orders that its suspension held."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Organization
from control_plane.domain.call_order import WAITING
from control_plane.domain.gate import Rule
from control_plane.orders import held

_HELD = (
    # As literals, or PostgreSQL's plan for any value could not use their index.
    CallOrder.waiting_rule == literal_column(f"'{Rule.ORGANIZATION_SUSPENDED}'"),
    CallOrder.due_at.is_(None),
)
_AT_ONCE = 500
_MOST_OWNERS = 100


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
