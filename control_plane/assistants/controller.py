"""Assistants: create, get, list, patch, delete."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import select

from control_plane.assistants import repository, specs, versions
from control_plane.assistants.schemas import (
    AssistantCreate,
    AssistantEnvelope,
    AssistantList,
    AssistantPatch,
    merge,
)
from control_plane.assistants.views import load, opener_for
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.trunk import Number
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.ids import new_id, parse_id
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault


class AssistantController(Controller):
    """What speaks, with its settings."""

    path = "/assistant"
    tags = ("assistants",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createAssistant", summary="Create an assistant", status_code=201)
    async def create(
        self,
        data: JSONBody[AssistantCreate],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> AssistantEnvelope:
        """Create an assistant; orders name it by its id."""
        spec, now = merge(data), datetime.now(UTC)
        sealer = await specs.sealer_for(vault, spec)
        async with database.transaction() as db:
            if data.is_default:
                await repository.clear_default(db, principal.organization_id)
            row = Assistant(
                id=new_id(),
                organization_id=principal.organization_id,
                name=spec.name,
                version=1,
                spec=await specs.store(db, sealer, principal.organization_id, spec, now=now),
                is_default=data.is_default,
                created_at=now,
                updated_at=now,
            )
            db.add(row)
            await versions.add_current(db, row, now=now)
            [shown] = await load(db, [row], vault=vault)
        return AssistantEnvelope(shown)

    @get(operation_id="listAssistants", summary="List assistants", opt={"scope": "calls"})
    async def list_all(
        self, principal: GivenPrincipal, database: GivenDatabase, vault: GivenVault
    ) -> AssistantList:
        """List every assistant, newest first, its secrets masked."""
        async with database.reading() as db:
            rows = await repository.list_assistants(db, principal.organization_id)
            return AssistantList(await load(db, rows, vault=opener_for(principal, vault)))

    @get(
        "/{assistant_id:str}",
        operation_id="getAssistant",
        summary="Get an assistant",
        opt={"scope": "calls"},
    )
    async def get_one(
        self,
        assistant_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> AssistantEnvelope:
        """Return one assistant, its secrets masked.

        Of addresses a key without the scope `admin` gets no more than the host.
        """
        key = parse_id(assistant_id, what="assistant")
        async with database.reading() as db:
            row = await repository.get_assistant(db, principal.organization_id, key)
            [shown] = await load(db, [row], vault=opener_for(principal, vault))
        return AssistantEnvelope(shown)

    @patch("/{assistant_id:str}", operation_id="updateAssistant", summary="Change an assistant")
    async def change(
        self,
        assistant_id: FromPath[str],
        data: JSONBody[AssistantPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> AssistantEnvelope:
        """Change what is given; orders that exist keep the version they were placed with."""
        key, now = parse_id(assistant_id, what="assistant"), datetime.now(UTC)
        async with database.reading() as db:
            row = await repository.get_assistant(db, principal.organization_id, key)
        before = specs.load(row.spec)
        sealer = await specs.sealer_for(vault, merge(data, before), before)
        async with database.transaction() as db:
            row = await repository.get_assistant(db, principal.organization_id, key)
            before = specs.load(row.spec)
            spec = merge(data, before)
            row.spec = await specs.store(
                db, sealer, principal.organization_id, spec, now=now, previous=before
            )
            if data.is_default is True and not row.is_default:
                await repository.clear_default(db, principal.organization_id)
                row.is_default = True
            if data.is_default is False and row.is_default:
                raise BadInput(
                    "make another assistant the default instead; there is always one",
                    field="is_default",
                )
            row.name, row.version, row.updated_at = spec.name, row.version + 1, now
            await versions.add_current(db, row, now=now)
            [shown] = await load(db, [row], vault=vault)
        return AssistantEnvelope(shown)

    @delete("/{assistant_id:str}", operation_id="deleteAssistant", summary="Delete an assistant")
    async def remove(
        self, assistant_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Delete an assistant; orders that exist are carried out with it all the same."""
        key = parse_id(assistant_id, what="assistant")
        async with database.transaction() as db:
            row = await repository.get_assistant(db, principal.organization_id, key)
            if row.is_default:
                raise Conflict("the default assistant cannot be deleted: make another the default")
            number = await db.scalar(select(Number).where(Number.assistant_id == key).limit(1))
            if number is not None:
                raise Conflict("a number is answered by this assistant: give it another first")
            row.deleted_at = datetime.now(UTC)
