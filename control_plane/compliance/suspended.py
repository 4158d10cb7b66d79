"""Which organizations are suspended: no new call either way, and no key of theirs is used.

Live calls end as they are: what they need was handed out when they began.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.organization import Organization
from control_plane.domain.errors import Conflict


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


async def check_may_spend(db: AsyncSession, organization_id: str) -> None:
    """Find out whether the keys of providers that the organization stored may be used.

    Raises:
        Conflict: it is suspended.
    """
    since = await db.scalar(
        select(Organization.suspended_at).where(Organization.id == organization_id)
    )
    if since is not None:
        raise Conflict(
            "the organization is suspended, and its keys of providers are not used until whoever "
            f"runs this installation resumes it: `offhook org resume {organization_id}`"
        )


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
