"""Whose a number is: what one organization is called at, no other takes calls for.

All organizations' trunks are at one SIP service, which gives a call to the trunk that names the
called number, or to the one trunk that takes every number.
"""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.trunk import Number, Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.errors import Conflict
from control_plane.trunks.repository import list_trunks

_ONE_AT_A_TIME = 7_236_116


async def lock(db: AsyncSession) -> None:
    """Let nobody else take numbers until the commit, so that none is taken twice.

    SQLite has one writer anyway.
    """
    if db.get_bind().dialect.name == "postgresql":
        await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})


async def check_trunk(db: AsyncSession, row: Trunk) -> None:
    """Find out whether calls to an inbound trunk's numbers go to it alone; `lock` comes first.

    Raises:
        Conflict: another inbound trunk takes one of them, or it is another organization's.
    """
    wanted = set(row.numbers)
    for other in await list_trunks(db):
        if other.direction != Direction.INBOUND or other.id == row.id:
            continue
        shared = wanted.intersection(other.numbers)
        if not shared and (other.numbers or row.numbers):
            continue
        what = ", ".join(sorted(shared)) or "every number"
        if other.organization_id == row.organization_id:
            raise Conflict(
                f"the inbound trunk {other.name!r} already takes {what}: change that one",
                field="numbers",
            )
        remedy = "leave it out" if shared else "name the numbers that this trunk takes"
        raise _of_others(f"an inbound trunk that takes {what}", remedy, field="numbers")
    owned = await db.scalars(
        select(Number.phone_number)
        .where(
            Number.phone_number.in_(sorted(wanted)),
            Number.organization_id != row.organization_id,
        )
        .order_by(Number.phone_number)
        .limit(1)
    )
    number = owned.first()
    if number is not None:
        raise _of_others(f"the number {number}", "leave it out", field="numbers")


async def check_number(db: AsyncSession, organization_id: str, number: str) -> None:
    """Find out whether a number may become the organization's; `lock` comes first.

    Raises:
        Conflict: it was added before, or another organization's inbound trunk takes its calls.
    """
    if await db.scalar(select(Number.id).where(Number.phone_number == number)) is not None:
        raise Conflict(f"{number} was added before", field="phone_number")
    if await is_of_others(db, organization_id, number):
        raise _of_others(
            f"an inbound trunk that takes {number}", "use another", field="phone_number"
        )


async def is_of_others(db: AsyncSession, organization_id: str, number: str) -> bool:
    """Return whether another organization's inbound trunk names the number."""
    theirs = await db.scalars(
        select(Trunk).where(
            Trunk.organization_id != organization_id,
            Trunk.direction == Direction.INBOUND,
            Trunk.deleted_at.is_(None),
        )
    )
    return any(number in each.numbers for each in theirs)


def _of_others(what: str, remedy: str, *, field: str) -> Conflict:
    return Conflict(
        f"another organization has {what}: {remedy}, or have it removed there first", field=field
    )
