"""Rows of one organization, by their ids: another's is as good as none."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import Base
from control_plane.domain.errors import NotFound

Row = TypeVar("Row", bound=Base)


async def find_own(
    db: AsyncSession,
    table: type[Row],
    organization_id: str,
    key: str,
    *where: ColumnElement[bool],
    lock: bool = False,
) -> Row | None:
    """Return the organization's row with that id, unless it is deleted; None: it has none.

    Args:
        where: what else must be true of it.
        lock: keep others from changing it until the transaction ends.
    """
    kind: Any = table
    query = select(table).where(kind.id == key, kind.organization_id == organization_id, *where)
    if "deleted_at" in table.__table__.columns:
        query = query.where(kind.deleted_at.is_(None))
    found: Row | None = await db.scalar(query.with_for_update() if lock else query)
    return found


async def get_own(
    db: AsyncSession,
    table: type[Row],
    organization_id: str,
    key: str,
    *where: ColumnElement[bool],
    what: str,
    field: str | None = "id",
    remedy: str = "",
    lock: bool = False,
) -> Row:
    """Return the organization's row with that id, as `find_own` does.

    Args:
        what: how users call such a row.
        field: the request's that named it.
        remedy: what helps whoever asked, behind a semicolon.

    Raises:
        NotFound: the organization has none with that id.
    """
    found = await find_own(db, table, organization_id, key, *where, lock=lock)
    if found is None:
        helps = f"; {remedy}" if remedy else ""
        raise NotFound(f"there is no {what} with the id {key}{helps}", field=field)
    return found
