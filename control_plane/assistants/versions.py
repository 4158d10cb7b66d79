"""States of assistants as orders keep them: rows that never change."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.ids import new_id
from control_plane.domain.variables import wanted

_KEPT = 1_000


class Version(Struct, frozen=True):
    """One state of an assistant; the keys in its `spec` are references.

    `number` counts the assistant's states from 1, 0 for one that lives in an order only;
    `variables` are those that an order must give a value for.
    """

    number: int
    spec: AssistantSpec
    variables: tuple[str, ...]


def version_of(number: int, spec: AssistantSpec) -> Version:
    """Return a spec as a version."""
    return Version(number, spec, tuple(name for _text, name in wanted(spec)))


_seen: OrderedDict[str, Version] = OrderedDict()


async def add(
    db: AsyncSession,
    organization_id: str,
    assistant_id: str | None,
    version: int,
    stored: dict[str, Any],
    *,
    now: datetime,
) -> str:
    """Return the id of a new version row."""
    row = AssistantVersion(
        id=new_id(),
        organization_id=organization_id,
        assistant_id=assistant_id,
        version=version,
        spec=stored,
        created_at=now,
    )
    db.add(row)
    await db.flush()
    return row.id


async def add_current(db: AsyncSession, row: Assistant, *, now: datetime) -> None:
    """Keep the assistant's present state as a version."""
    row.version_id = await add(db, row.organization_id, row.id, row.version, row.spec, now=now)


async def get(db: AsyncSession, version_id: str) -> Version:
    """Return a version; the last ones used are remembered, since a version never changes."""
    found = _seen.get(version_id)
    if found is None:
        row = await db.get_one(AssistantVersion, version_id)
        found = _seen[version_id] = version_of(row.version, specs.load(row.spec))
        if len(_seen) > _KEPT:
            _seen.popitem(last=False)
    return found
