"""Queries on assistants."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.assistant import Assistant
from control_plane.db.owned import get_own
from control_plane.domain.errors import NotFound


async def get_assistant(
    db: AsyncSession, organization_id: str, assistant_id: str, *, field: str = "id"
) -> Assistant:
    """Return the assistant.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(
        db,
        Assistant,
        organization_id,
        assistant_id,
        what="assistant",
        field=field,
        remedy="GET /assistant lists them",
    )


async def get_default(db: AsyncSession, organization_id: str) -> Assistant:
    """Return the organization's default assistant.

    Raises:
        NotFound: it has none.
    """
    found = await db.scalar(
        select(Assistant).where(
            Assistant.organization_id == organization_id,
            Assistant.is_default,
            Assistant.deleted_at.is_(None),
        )
    )
    if found is None:
        raise NotFound(
            "the organization has no default assistant: give assistant_id or assistant, "
            "or PATCH an assistant with is_default",
            field="assistant_id",
        )
    return found


async def list_assistants(db: AsyncSession, organization_id: str) -> Sequence[Assistant]:
    """Return every assistant, newest first."""
    rows = await db.scalars(
        select(Assistant)
        .where(Assistant.organization_id == organization_id, Assistant.deleted_at.is_(None))
        .order_by(Assistant.id.desc())
    )
    return rows.all()


async def clear_default(db: AsyncSession, organization_id: str) -> None:
    """Leave the organization without a default assistant."""
    await db.execute(
        update(Assistant)
        .where(Assistant.organization_id == organization_id, Assistant.is_default)
        .values(is_default=False)
    )
