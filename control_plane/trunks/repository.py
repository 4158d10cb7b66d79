"""Queries on trunks and numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.session import Leg
from control_plane.db.models.trunk import Number, Trunk
from control_plane.db.owned import get_own
from control_plane.domain.brief import Direction


async def get_trunk(db: AsyncSession, organization_id: str, trunk_id: str) -> Trunk:
    """Return the trunk.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(db, Trunk, organization_id, trunk_id, what="trunk", field="trunk_id")


async def list_trunks(
    db: AsyncSession, organization_id: str | None = None, *, with_deleted: bool = False
) -> Sequence[Trunk]:
    """Return trunks, newest first; of every organization when none is named."""
    query = select(Trunk).order_by(Trunk.id.desc())
    if organization_id is not None:
        query = query.where(Trunk.organization_id == organization_id)
    if not with_deleted:
        query = query.where(Trunk.deleted_at.is_(None))
    return (await db.scalars(query)).all()


async def inbound_trunks(db: AsyncSession, sip_trunk_ids: Collection[str]) -> Sequence[Trunk]:
    """Return the inbound trunks that the SIP service knows by these ids; no deleted ones."""
    query = select(Trunk).where(
        Trunk.sip_trunk_id.in_(sip_trunk_ids),
        Trunk.direction == Direction.INBOUND,
        Trunk.deleted_at.is_(None),
    )
    return (await db.scalars(query)).all()


async def clear_default_trunk(db: AsyncSession, organization_id: str, direction: str) -> None:
    """Leave the organization without a default trunk of that direction."""
    await db.execute(
        update(Trunk)
        .where(Trunk.organization_id == organization_id, Trunk.direction == direction)
        .values(is_default=False)
    )


async def prefer_numbers_of(db: AsyncSession, trunk: Trunk) -> None:
    """Stop calling from a default number that takes another trunk than the new default one."""
    if trunk.direction == Direction.OUTBOUND:
        await db.execute(
            update(Number)
            .where(
                Number.organization_id == trunk.organization_id,
                Number.trunk_id.is_not(None),
                Number.trunk_id != trunk.id,
            )
            .values(is_default=False)
        )


async def clear_default_number(db: AsyncSession, organization_id: str) -> None:
    """Leave the organization without a default number."""
    await db.execute(
        update(Number).where(Number.organization_id == organization_id).values(is_default=False)
    )


async def list_numbers(db: AsyncSession, organization_id: str) -> Sequence[Number]:
    """Return the organization's numbers."""
    return (
        await db.scalars(
            select(Number)
            .where(Number.organization_id == organization_id)
            .order_by(Number.phone_number)
        )
    ).all()


async def get_number(db: AsyncSession, organization_id: str, number_id: str) -> Number:
    """Return the number.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(db, Number, organization_id, number_id, what="number")


def wanted_hash(trunk: Trunk, *, secret_version: str, rule_metadata: str) -> str:
    """Return a digest of everything that the SIP service is told of `trunk` and its rule.

    `rule_metadata` is what the rule of an inbound trunk gives to agents.
    """
    told = (
        trunk.direction,
        trunk.name,
        trunk.address,
        trunk.transport,
        trunk.username,
        secret_version,
        trunk.numbers,
        trunk.allowed_addresses,
        rule_metadata if trunk.direction == Direction.INBOUND else "",
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


async def calls_on(db: AsyncSession, trunk_id: str) -> tuple[int, int, int]:
    """Return how many calls of the trunk are open, and of these in preparation and ringing."""
    rows = await db.execute(
        select(func.count(), func.count(Leg.dialing_at), func.count(Leg.answered_at)).where(
            Leg.trunk_id == trunk_id, Leg.closed_at.is_(None)
        )
    )
    live, dialled, answered = rows.one()
    return live, live - dialled, dialled - answered
