"""Presets: create, get, list, replace, delete."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from control_plane.assistants import secrets
from control_plane.assistants.specs import shown
from control_plane.assistants.views import opener_for
from control_plane.db.crypto import Vault
from control_plane.db.models.preset import Preset
from control_plane.db.sealed import Sealer
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.assistant_rules import check
from control_plane.domain.errors import BadInput
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.preset import AnyPreset, ModelPreset, PresetKind, VoicePreset, kind_of
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.http.filters import one_of
from control_plane.http.pages import Cursor, Limit
from control_plane.presets import repository


class PresetView(Struct, frozen=True, kw_only=True):
    """A preset, its secrets masked."""

    id: str
    kind: PresetKind
    preset: AnyPreset
    created_at: datetime
    updated_at: datetime


class PresetPage(Struct, frozen=True):
    """Presets, newest first; `next_cursor` is null on the last page."""

    presets: list[PresetView]
    next_cursor: str | None


class PresetController(Controller):
    """Voices, models and prompts that orders of dial outbound name."""

    path = "/preset"
    tags = ("presets",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createPreset", summary="Create a preset", status_code=201)
    async def create(
        self,
        data: JSONBody[AnyPreset],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> PresetView:
        """Keep a voice, a model or a prompt by a name."""
        _check(data)
        owner, now = principal.organization_id, datetime.now(UTC)
        sealer = await _sealer(vault, data)
        async with database.transaction() as db:
            row = Preset(
                id=new_id(),
                organization_id=owner,
                kind=kind_of(data),
                name=data.name,
                value=await repository.store(db, sealer, owner, data, now=now),
                created_at=now,
                updated_at=now,
            )
            db.add(row)
        return _view(row, vault)

    @get(operation_id="listPresets", summary="List presets", opt={"scope": "calls"})
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        kind: Annotated[str | None, QueryParameter(description="voice, model or prompt")] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> PresetPage:
        """Return presets, newest first."""
        before = parse_id(cursor, what="preset", field="cursor") if cursor is not None else None
        wanted = one_of(PresetKind, kind, "kind") if kind is not None else None
        async with database.reading() as db:
            rows = await repository.list_presets(
                db, principal.organization_id, kind=wanted, before=before, limit=limit + 1
            )
        opener = opener_for(principal, vault)
        views = [_view(row, opener) for row in rows[:limit]]
        return PresetPage(views, views[-1].id if len(rows) > limit else None)

    @get(
        "/{preset_id:str}", operation_id="getPreset", summary="Get a preset", opt={"scope": "calls"}
    )
    async def get_one(
        self,
        preset_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> PresetView:
        """Return one preset, its secrets masked.

        Of addresses a key without the scope `admin` gets no more than the host.
        """
        key = parse_id(preset_id, what="preset")
        async with database.reading() as db:
            row = await repository.get_preset(db, principal.organization_id, key)
        return _view(row, opener_for(principal, vault))

    @put("/{preset_id:str}", operation_id="replacePreset", summary="Replace a preset")
    async def replace(
        self,
        preset_id: FromPath[str],
        data: JSONBody[AnyPreset],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> PresetView:
        """Replace what is kept, in its kind; a masked secret stays. Orders that exist do too."""
        _check(data)
        key, owner = parse_id(preset_id, what="preset"), principal.organization_id
        sealer, now = await _sealer(vault, data), datetime.now(UTC)
        async with database.transaction() as db:
            row = await repository.get_preset(db, owner, key)
            if row.kind is not kind_of(data):
                raise BadInput(
                    f"kind: this preset is a {row.kind} and stays one: create another", field="kind"
                )
            row.value = await repository.store(
                db, sealer, owner, data, now=now, previous=repository.load(row)
            )
            row.name, row.updated_at = data.name, now
        return _view(row, vault)

    @delete("/{preset_id:str}", operation_id="deletePreset", summary="Delete a preset")
    async def remove(
        self, preset_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Delete a preset; orders that exist are carried out with it all the same."""
        key = parse_id(preset_id, what="preset")
        async with database.transaction() as db:
            row = await repository.get_preset(db, principal.organization_id, key)
            row.deleted_at = datetime.now(UTC)


def _view(row: Preset, vault: Vault | None) -> PresetView:
    return PresetView(
        id=row.id,
        kind=row.kind,
        preset=shown(repository.load(row), vault),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _check(given: AnyPreset) -> None:
    """Hold what is given to the rules of an assistant that has it.

    Raises:
        BadInput: it cannot be used; names the field.
    """
    model = given.model if isinstance(given, ModelPreset) else None
    voice = given.voice if isinstance(given, VoicePreset) else None
    try:
        check(AssistantSpec(name=given.name, prompt="", llm_model=model, voice=voice))
    except BadInput as exc:
        field = (exc.field or "").replace("llm_model", "model")
        raise BadInput(exc.detail.replace("llm_model", "model"), field=field) from exc


async def _sealer(vault: Vault, given: AnyPreset) -> Sealer:
    found = list(secrets.find(given))
    clear = [value for place, value in found if not place.is_url]
    urls = [value for place, value in found if place.is_url]
    return await asyncio.to_thread(Sealer, vault, *clear, urls=urls)
