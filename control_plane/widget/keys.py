"""Public keys: made, listed, revoked."""

from __future__ import annotations

import secrets

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from control_plane.assistants import repository as assistants
from control_plane.db.base import read_clock
from control_plane.db.models.public_key import PublicKey
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.public_key import origin_of
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.widget import repository
from control_plane.widget.schemas import PublicKeyCreate, PublicKeyList, PublicKeyView


class PublicKeyController(Controller):
    """Keys that pages carry; each may start browser sessions and nothing else."""

    path = "/public-keys"
    tags = ("keys",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createPublicKey", summary="Create a public key", status_code=201)
    async def create(
        self, data: JSONBody[PublicKeyCreate], principal: GivenPrincipal, database: GivenDatabase
    ) -> PublicKeyView:
        """Return a key with which pages of these origins start sessions with these assistants."""
        field = "allowed_origins"
        origins = dict.fromkeys(origin_of(each, field=field) for each in data.allowed_origins)
        field = "assistant_ids"
        wanted = dict.fromkeys(
            parse_id(each, what="assistant", field=field) for each in data.assistant_ids
        )
        async with database.transaction() as db:
            for each in wanted:
                await assistants.get_assistant(db, principal.organization_id, each, field=field)
            row = PublicKey(
                id=new_id(),
                organization_id=principal.organization_id,
                name=data.name,
                key=f"pk_{secrets.token_urlsafe(18)}",
                allowed_origins=list(origins),
                assistant_ids=list(wanted),
                sessions_per_hour=data.sessions_per_hour,
                created_at=await read_clock(db),
            )
            db.add(row)
        return _view(row, 0)

    @get(operation_id="listPublicKeys", summary="List public keys")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> PublicKeyList:
        """List every public key, and how much it was used in the last hour."""
        async with database.reading() as db:
            rows = await repository.list_keys(db, principal.organization_id)
            now = await read_clock(db)
            used = await repository.started_since(db, [row.id for row in rows], now)
        return PublicKeyList([_view(row, used.get(row.id, 0)) for row in rows])

    @delete("/{public_key_id:str}", operation_id="revokePublicKey", summary="Revoke a public key")
    async def revoke(
        self, public_key_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Let the key start nothing more; conversations that go on are not ended."""
        key_id = parse_id(public_key_id, what="public key")
        async with database.transaction() as db:
            row = await repository.get(db, principal.organization_id, key_id)
            row.revoked_at = row.revoked_at or await read_clock(db)


def _view(row: PublicKey, used: int) -> PublicKeyView:
    return PublicKeyView(
        id=row.id,
        name=row.name,
        key=row.key,
        allowed_origins=row.allowed_origins,
        assistant_ids=row.assistant_ids,
        sessions_per_hour=row.sessions_per_hour,
        sessions_last_hour=used,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
