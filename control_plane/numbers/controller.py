"""Numbers of the organization: what it calls from, and who answers them."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants.repository import get_assistant
from control_plane.db.models.trunk import Number
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.phone import e164
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.trunks import repository, taken
from control_plane.trunks.schemas import NumberCreate, NumberList, NumberPatch, NumberView


class NumberController(Controller):
    """Phone numbers."""

    path = "/number"
    tags = ("numbers",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createNumber", summary="Add a number", status_code=201)
    async def create(
        self, data: JSONBody[NumberCreate], principal: GivenPrincipal, database: GivenDatabase
    ) -> NumberView:
        """Add a number."""
        number, now = e164(data.phone_number), datetime.now(UTC)
        owner = principal.organization_id
        async with database.transaction() as db:
            await taken.lock(db)
            await taken.check_number(db, owner, number)
            if data.is_default:
                await repository.clear_default_number(db, owner)
            row = Number(
                id=new_id(),
                organization_id=owner,
                phone_number=number,
                trunk_id=await _trunk(db, owner, data.trunk_id),
                assistant_id=await _assistant(db, owner, data.assistant_id),
                is_default=data.is_default,
                created_at=now,
                updated_at=now,
            )
            db.add(row)
        return _view(row)

    @get(operation_id="listNumbers", summary="List numbers")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> NumberList:
        """List every number."""
        async with database.reading() as db:
            rows = await repository.list_numbers(db, principal.organization_id)
        return NumberList([_view(row) for row in rows])

    @get("/{number_id:str}", operation_id="getNumber", summary="Get a number")
    async def get_one(
        self, number_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> NumberView:
        """Return one number."""
        key = parse_id(number_id, what="number")
        async with database.reading() as db:
            return _view(await repository.get_number(db, principal.organization_id, key))

    @patch("/{number_id:str}", operation_id="updateNumber", summary="Change a number")
    async def change(
        self,
        number_id: FromPath[str],
        data: JSONBody[NumberPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> NumberView:
        """Change what is given."""
        key, owner = parse_id(number_id, what="number"), principal.organization_id
        async with database.transaction() as db:
            row = await repository.get_number(db, owner, key)
            if data.trunk_id is not UNSET:
                row.trunk_id = await _trunk(db, owner, data.trunk_id)
            if data.assistant_id is not UNSET:
                row.assistant_id = await _assistant(db, owner, data.assistant_id)
            if data.is_default is True:
                await repository.clear_default_number(db, owner)
            if data.is_default is not UNSET:
                row.is_default = data.is_default
            row.updated_at = datetime.now(UTC)
        return _view(row)

    @delete("/{number_id:str}", operation_id="deleteNumber", summary="Remove a number")
    async def remove(
        self, number_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Remove a number."""
        key = parse_id(number_id, what="number")
        async with database.transaction() as db:
            row = await repository.get_number(db, principal.organization_id, key)
            await db.delete(row)


async def _trunk(db: AsyncSession, owner: str, trunk_id: str | None) -> str | None:
    if trunk_id is None:
        return None
    key = parse_id(trunk_id, what="trunk", field="trunk_id")
    return (await repository.get_trunk(db, owner, key)).id


async def _assistant(db: AsyncSession, owner: str, assistant_id: str | None) -> str | None:
    if assistant_id is None:
        return None
    key = parse_id(assistant_id, what="assistant", field="assistant_id")
    return (await get_assistant(db, owner, key, field="assistant_id")).id


def _view(row: Number) -> NumberView:
    return NumberView(
        id=row.id,
        phone_number=row.phone_number,
        trunk_id=row.trunk_id,
        assistant_id=row.assistant_id,
        is_default=row.is_default,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
