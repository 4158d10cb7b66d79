"""Queries on public keys and on what was started with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.public_key import PublicKey
from control_plane.db.models.session import Session
from control_plane.db.owned import get_own
from control_plane.domain.public_key import WINDOW


async def get(db: AsyncSession, organization_id: str, key_id: str) -> PublicKey:
    """Return the key.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(
        db,
        PublicKey,
        organization_id,
        key_id,
        what="public key",
        remedy="GET /public-keys lists them",
    )


async def list_keys(db: AsyncSession, organization_id: str) -> Sequence[PublicKey]:
    """Return every key, newest first."""
    return (
        await db.scalars(
            select(PublicKey)
            .where(PublicKey.organization_id == organization_id)
            .order_by(PublicKey.id.desc())
        )
    ).all()


async def working(db: AsyncSession, key: str) -> PublicKey | None:
    """Return the row of a key that was not revoked."""
    return await db.scalar(
        select(PublicKey).where(PublicKey.key == key, PublicKey.revoked_at.is_(None))
    )


async def held(db: AsyncSession, key_id: str) -> PublicKey | None:
    """Return a key that was not revoked, locked: nobody else starts anything with it meanwhile."""
    return await db.scalar(
        select(PublicKey)
        .where(PublicKey.id == key_id, PublicKey.revoked_at.is_(None))
        .with_for_update()
    )


async def started_since(
    db: AsyncSession, key_ids: Collection[str], now: datetime
) -> dict[str, int]:
    """Return how many sessions each key has started in the hour before `now`; none: left out."""
    rows = await db.execute(
        select(Session.public_key_id, func.count())
        .where(Session.public_key_id.in_(key_ids), Session.created_at > now - WINDOW)
        .group_by(Session.public_key_id)
    )
    return {str(key_id): count for key_id, count in rows}


async def next_free(db: AsyncSession, row: PublicKey, now: datetime) -> datetime | None:
    """Return when a key may be used again; null: now."""
    oldest_that_counts = await db.scalar(
        select(Session.created_at)
        .where(Session.public_key_id == row.id, Session.created_at > now - WINDOW)
        .order_by(Session.created_at.desc())
        .offset(row.sessions_per_hour - 1)
        .limit(1)
    )
    return oldest_that_counts + WINDOW if oldest_that_counts is not None else None
