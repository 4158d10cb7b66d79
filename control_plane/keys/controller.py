"""API keys: made, listed, changed, rotated, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance.repository import day_of
from control_plane.db.base import read_clock
from control_plane.db.models.compliance import KeyUsage
from control_plane.db.models.organization import ApiKey
from control_plane.db.owned import get_own
from control_plane.domain.errors import Conflict, NotAllowed
from control_plane.domain.ids import parse_id
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.keys.dependencies import GivenRing
from control_plane.keys.making import OPERATOR, make_key
from control_plane.keys.schemas import (
    KeyCreate,
    KeyList,
    KeyPatch,
    KeyRotate,
    KeyUsageView,
    KeyView,
    key_view,
)


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
        if OPERATOR in data.scopes and OPERATOR not in principal.scopes:
            raise NotAllowed(
                "only a key with the scope operator makes another: leave the scope out",
                field="scopes",
            )
        row, whole = make_key(
            principal.organization_id,
            name=data.name,
            scopes=sorted(set(data.scopes)),
            now=datetime.now(UTC),
        )
        row.requests_per_minute, row.calls_per_day = data.requests_per_minute, data.calls_per_day
        row.minutes_per_day, row.spend_per_day = data.minutes_per_day, data.spend_per_day
        async with database.transaction() as db:
            db.add(row)
        return key_view(row, KeyUsageView(), whole)

    @get(operation_id="listKeys", summary="List API keys")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> KeyList:
        """List every key."""
        async with database.reading() as db:
            rows = (
                await db.scalars(
                    select(ApiKey)
                    .where(ApiKey.organization_id == principal.organization_id)
                    .order_by(ApiKey.id.desc())
                )
            ).all()
            used = await _used_today(db, [row.id for row in rows])
        return KeyList([key_view(row, used.get(row.id, KeyUsageView())) for row in rows])

    @patch("/{key_id:str}", operation_id="updateKey", summary="Change an API key")
    async def change(
        self,
        key_id: FromPath[str],
        data: JSONBody[KeyPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
        ring: GivenRing,
    ) -> KeyView:
        """Change a key's name or limits; its scopes stay as they were made."""
        async with database.transaction() as db:
            row = await _get(db, principal, key_id)
            for field in KeyPatch.__struct_fields__:
                given = getattr(data, field)
                if given is not UNSET:
                    setattr(row, field, given)
            used = await _used_today(db, [row.id])
        ring.invalidate(row.id)
        return key_view(row, used.get(row.id, KeyUsageView()))

    @post(
        "/{key_id:str}/rotate",
        operation_id="rotateKey",
        summary="Rotate an API key",
        status_code=201,
    )
    async def rotate(
        self,
        key_id: FromPath[str],
        data: JSONBody[KeyRotate],
        principal: GivenPrincipal,
        database: GivenDatabase,
        ring: GivenRing,
    ) -> KeyView:
        """Return a new key with the old one's scopes and limits; the old one works a while yet."""
        async with database.transaction() as db:
            old = await _get(db, principal, key_id)
            now = await read_clock(db)
            if old.revoked_at is not None:
                raise Conflict("this key was revoked or rotated before: create a new one")
            row, whole = make_key(
                old.organization_id, name=old.name, scopes=list(old.scopes), now=now
            )
            for field in KeyPatch.__struct_fields__:
                setattr(row, field, getattr(old, field))
            db.add(row)
            old.revoked_at = now + timedelta(seconds=data.grace_secs)
        ring.invalidate(old.id)
        return key_view(row, KeyUsageView(), whole)

    @delete("/{key_id:str}", operation_id="revokeKey", summary="Revoke an API key")
    async def revoke(
        self,
        key_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        ring: GivenRing,
    ) -> None:
        """Make a key useless at once; the key of this very request cannot revoke itself."""
        if key_id == principal.key_id:
            raise Conflict("a key cannot revoke itself: use another, so that nobody is locked out")
        async with database.transaction() as db:
            row = await _get(db, principal, key_id)
            now = await read_clock(db)
            row.revoked_at = min(row.revoked_at or now, now)
        ring.invalidate(row.id)


async def _get(db: AsyncSession, principal: Principal, key_id: str) -> ApiKey:
    """Return the key to be changed.

    Raises:
        NotFound: the organization has none with that id.
        NotAllowed: it can do more than the key that asks, which would come to hold its powers.
    """
    key = parse_id(key_id, what="key")
    row = await get_own(db, ApiKey, principal.organization_id, key, what="key")
    if OPERATOR in row.scopes and OPERATOR not in principal.scopes:
        raise NotAllowed(
            "this key has the scope operator: only a key that has it too changes, rotates or "
            "revokes it"
        )
    return row


async def _used_today(db: AsyncSession, key_ids: list[str]) -> dict[str, KeyUsageView]:
    today = day_of(await read_clock(db))
    rows = await db.scalars(
        select(KeyUsage).where(KeyUsage.api_key_id.in_(key_ids), KeyUsage.day == today)
    )
    return {row.api_key_id: KeyUsageView(row.calls, row.seconds / 60, row.spend) for row in rows}
