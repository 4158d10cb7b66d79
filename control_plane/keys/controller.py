"""API keys: made, listed, changed, rotated, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth import make_key
from control_plane.db.base import read_clock
from control_plane.db.models.ledger import KeyUsage
from control_plane.db.models.organization import ApiKey
from control_plane.domain.errors import Conflict, NotFound
from control_plane.domain.ids import parse_id
from control_plane.given import GivenDatabase, GivenPrincipal, GivenRing
from control_plane.keys.ring import find_key
from control_plane.ledgers.facts import day_of

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Limit = Annotated[int, Meta(ge=1, le=10_000_000)] | None
Money = Annotated[float, Meta(ge=0, le=1_000_000_000)] | None


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new API key; caps count a day in UTC, null is none."""

    name: Name
    scopes: Annotated[tuple[Literal["calls", "admin"], ...], Meta(min_length=1, max_length=2)] = (
        "calls",
        "admin",
    )
    requests_per_minute: Limit = None
    calls_per_day: Limit = None
    minutes_per_day: Limit = None
    spend_per_day: Money = None


class KeyPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a key; what is absent stays."""

    name: Name | UnsetType = UNSET
    requests_per_minute: Limit | UnsetType = UNSET
    calls_per_day: Limit | UnsetType = UNSET
    minutes_per_day: Limit | UnsetType = UNSET
    spend_per_day: Money | UnsetType = UNSET


class KeyRotate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the old key still works."""

    grace_secs: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400


class KeyView(Struct, frozen=True, kw_only=True):
    """A key without its secret part; `key` is whole once, in the answer that creates it.

    `revoked_at` may lie ahead: a rotated key works until then. `used_today` is what its orders
    have used of the caps.
    """

    id: str
    name: str
    prefix: str
    scopes: list[str]
    requests_per_minute: int | None
    calls_per_day: int | None
    minutes_per_day: int | None
    spend_per_day: float | None
    used_today: Usage
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    key: str | None = None


class Usage(Struct, frozen=True):
    """What a key's orders have used on one day, UTC."""

    calls: int = 0
    minutes: float = 0.0
    spend: float = 0.0


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
        row.requests_per_minute, row.calls_per_day = data.requests_per_minute, data.calls_per_day
        row.minutes_per_day, row.spend_per_day = data.minutes_per_day, data.spend_per_day
        async with database.transaction() as session:
            session.add(row)
        return _view(row, Usage(), whole)

    @get(operation_id="listKeys", summary="List API keys")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> KeyList:
        """List every key."""
        async with database.reading() as session:
            rows = (
                await session.scalars(
                    select(ApiKey)
                    .where(ApiKey.organization_id == principal.organization_id)
                    .order_by(ApiKey.id.desc())
                )
            ).all()
            used = await _used_today(session, [row.id for row in rows])
        return KeyList([_view(row, used.get(row.id, Usage())) for row in rows])

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
        async with database.transaction() as session:
            row = await _get(session, principal.organization_id, key_id)
            for field in KeyPatch.__struct_fields__:
                given = getattr(data, field)
                if given is not UNSET:
                    setattr(row, field, given)
            used = await _used_today(session, [row.id])
        ring.forget(row.id)
        return _view(row, used.get(row.id, Usage()))

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
        async with database.transaction() as session:
            old = await _get(session, principal.organization_id, key_id)
            now = await read_clock(session)
            if old.revoked_at is not None:
                raise Conflict("this key was revoked or rotated before: create a new one")
            row, whole = make_key(
                old.organization_id, name=old.name, scopes=list(old.scopes), now=now
            )
            for field in KeyPatch.__struct_fields__:
                setattr(row, field, getattr(old, field))
            session.add(row)
            old.revoked_at = now + timedelta(seconds=data.grace_secs)
        ring.forget(old.id)
        return _view(row, Usage(), whole)

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
        async with database.transaction() as session:
            row = await _get(session, principal.organization_id, key_id)
            now = await read_clock(session)
            row.revoked_at = min(row.revoked_at or now, now)
        ring.forget(row.id)


async def _get(session: AsyncSession, organization_id: str, key_id: str) -> ApiKey:
    row = await find_key(session, organization_id, parse_id(key_id, what="key"))
    if row is None:
        raise NotFound(f"there is no key with the id {key_id}", field="id")
    return row


async def _used_today(session: AsyncSession, key_ids: list[str]) -> dict[str, Usage]:
    today = day_of(await read_clock(session))
    rows = await session.scalars(
        select(KeyUsage).where(KeyUsage.api_key_id.in_(key_ids), KeyUsage.day == today)
    )
    return {row.api_key_id: Usage(row.calls, row.seconds / 60, row.spend) for row in rows}


def _view(row: ApiKey, used: Usage, whole: str | None = None) -> KeyView:
    return KeyView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        requests_per_minute=row.requests_per_minute,
        calls_per_day=row.calls_per_day,
        minutes_per_day=row.minutes_per_day,
        spend_per_day=row.spend_per_day,
        used_today=used,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        key=whole,
    )
