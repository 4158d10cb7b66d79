"""Queries on presets, and their secrets on the way in and out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import secrets
from control_plane.assistants.secrets import Reference
from control_plane.assistants.specs import refuse_mask, sealed_url
from control_plane.db.models.preset import Preset
from control_plane.db.owned import get_own
from control_plane.db.sealed import Sealer, add_sealed
from control_plane.domain.masks import SealedUrl
from control_plane.domain.placeholders import names
from control_plane.domain.preset import AnyPreset, PresetKind


async def get_preset(
    db: AsyncSession, organization_id: str, preset_id: str, *, field: str = "id"
) -> Preset:
    """Return the preset.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(
        db,
        Preset,
        organization_id,
        preset_id,
        what="preset",
        field=field,
        remedy="GET /preset lists them",
    )


async def list_presets(
    db: AsyncSession,
    organization_id: str,
    *,
    kind: PresetKind | None,
    before: str | None,
    limit: int,
) -> Sequence[Preset]:
    """Return presets, newest first, older than the preset `before`."""
    query = select(Preset).where(
        Preset.organization_id == organization_id, Preset.deleted_at.is_(None)
    )
    if kind is not None:
        query = query.where(Preset.kind == kind)
    if before is not None:
        query = query.where(Preset.id < before)
    return (await db.scalars(query.order_by(Preset.id.desc()).limit(limit))).all()


def load(row: Preset) -> AnyPreset:
    """Return what is stored; its secrets are references."""
    return msgspec.convert(row.value, AnyPreset)  # type: ignore[no-any-return]


async def store(
    db: AsyncSession,
    sealer: Sealer,
    organization_id: str,
    given: AnyPreset,
    *,
    now: datetime,
    previous: AnyPreset | None = None,
) -> dict[str, Any]:
    """Return `given` as plain values, its secrets sealed in rows of their own.

    Raises:
        BadInput: a mask stands for nothing, or would go to another address than before.
    """
    before = dict(secrets.find(previous)) if previous is not None else {}
    values: dict[str, str] = {}
    for place, value in secrets.find(given):
        old = before.get(place)
        if place.is_url:
            kept = SealedUrl.parse(old) if old is not None else None
            values[place.field] = str(sealed_url(sealer, place, value, kept=kept))
            continue
        reference = Reference.parse(old) if old is not None else None
        if reference is not None and value == reference.masked:
            values[place.field] = str(reference)
            continue
        refuse_mask(place, value)
        row = await add_sealed(db, sealer, organization_id, value, now=now)
        wanted = tuple(dict.fromkeys(names(value)))
        values[place.field] = str(Reference(row.id, row.hint, wanted))
    await db.flush()
    plain: dict[str, Any] = msgspec.to_builtins(secrets.put(given, values))
    return plain
