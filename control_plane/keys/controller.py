"""API keys: made, listed, revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct
from sqlalchemy import select

from control_plane.auth import make_key
from control_plane.db.models.organization import ApiKey
from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.ids import parse_id
from control_plane.given import GivenDatabase, GivenPrincipal


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new API key."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[tuple[Literal["calls", "admin"], ...], Meta(min_length=1, max_length=2)] = (
        "calls",
        "admin",
    )


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret part; `key` is whole once, in the answer that creates it."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    key: str | None = None


class KeyList(Struct, frozen=True):
    """Every key, revoked ones included, newest first."""

    keys: list[KeyView]


class KeyController(Controller):
    """Who may use the API."""

    path = "/keys"
    tags = ("keys",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createKey", summary="Create an API key", status_code=201)
    async def create(
        self, data: JSONBody[KeyCreate], principal: GivenPrincipal, database: GivenDatabase
    ) -> KeyView:
        """Return a new key; it cannot be read again."""
        row, whole = make_key(
            principal.organization_id,
            name=data.name,
            scopes=sorted(set(data.scopes)),
            now=datetime.now(UTC),
        )
        async with database.transaction() as session:
            session.add(row)
        return _view(row, whole)

    @get(operation_id="listKeys", summary="List API keys")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> KeyList:
        """List every key."""
        async with database.reading() as session:
            rows = await session.scalars(
                select(ApiKey)
                .where(ApiKey.organization_id == principal.organization_id)
                .order_by(ApiKey.id.desc())
            )
            return KeyList([_view(row) for row in rows])

    @delete("/{key_id:str}", operation_id="revokeKey", summary="Revoke an API key")
    async def revoke(
        self, key_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Make a key useless at once; the key of this very request cannot revoke itself."""
        if key_id == principal.key_id:
            raise Conflict("a key cannot revoke itself: use another, so that nobody is locked out")
        async with database.transaction() as session:
            row = await session.scalar(
                select(ApiKey).where(
                    ApiKey.id == parse_id(key_id, what="key"),
                    ApiKey.organization_id == principal.organization_id,
                )
            )
            if row is None:
                raise NotFound(f"there is no key with the id {key_id}", field="id")
            row.revoked_at = row.revoked_at or datetime.now(UTC)


def _view(row: ApiKey, whole: str | None = None) -> KeyView:
    return KeyView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        key=whole,
    )
