"""Cloud providers: the key and the endpoint that an organization reaches each of them with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, delete, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.organization import ProviderKey
from control_plane.domain.assistant import Provider
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import new_id
from control_plane.given import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.keys.ring import Principal
from control_plane.sealed import masked, seal


class ProviderPut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's key; `api_url` only where it is not the provider's own."""

    api_key: Annotated[str, Meta(min_length=1, max_length=2_000)]
    api_url: Annotated[str, Meta(max_length=2_000, pattern=r"^(https?|wss?)://\S+$")] | None = None


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider's key, masked."""

    name: str
    api_key: str | None
    api_url: str | None
    updated_at: datetime


class ProviderList(Struct, frozen=True):
    """Every provider that has a key."""

    providers: list[ProviderView]


class ProviderController(Controller):
    """Keys of cloud providers."""

    path = "/provider"
    tags = ("providers",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @put("/{name:str}", operation_id="putProvider", summary="Set a provider's key")
    async def put_one(
        self,
        name: FromPath[str],
        data: JSONBody[ProviderPut],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> ProviderView:
        """Set the key; a masked value sent back leaves it as it is."""
        provider, now = _known(name), datetime.now(UTC)
        async with database.transaction() as session:
            row = await _find(session, principal, provider)
            secret = await seal(
                session,
                vault,
                principal.organization_id,
                data.api_key,
                now=now,
                replaces=row.secret_id if row is not None else None,
            )
            if row is None:
                row = ProviderKey(
                    id=new_id(),
                    organization_id=principal.organization_id,
                    name=provider,
                    secret_id=secret.id,
                )
                session.add(row)
            row.api_url, row.updated_at = data.api_url, now
            return await _view(session, row)

    @get(operation_id="listProviders", summary="List providers")
    async def list_all(self, principal: GivenPrincipal, database: GivenDatabase) -> ProviderList:
        """List the providers that have a key."""
        async with database.reading() as session:
            rows = await session.scalars(
                select(ProviderKey)
                .where(ProviderKey.organization_id == principal.organization_id)
                .order_by(ProviderKey.name)
            )
            return ProviderList([await _view(session, row) for row in rows.all()])

    @get("/{name:str}", operation_id="getProvider", summary="Get a provider")
    async def get_one(
        self, name: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> ProviderView:
        """Return the provider, its key masked."""
        async with database.reading() as session:
            return await _view(session, await _required(session, principal, name))

    @delete("/{name:str}", operation_id="deleteProvider", summary="Forget a provider's key")
    async def remove(
        self, name: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Forget the key."""
        async with database.transaction() as session:
            await session.delete(await _required(session, principal, name))


def _known(name: str) -> Provider:
    try:
        return Provider(name)
    except ValueError as exc:
        raise NotFound(
            f"there is no provider {name[:50]!r}; known are {', '.join(Provider)}", field="name"
        ) from exc


async def _find(
    session: AsyncSession, principal: Principal, provider: Provider
) -> ProviderKey | None:
    found: ProviderKey | None = await session.scalar(
        select(ProviderKey).where(
            ProviderKey.organization_id == principal.organization_id, ProviderKey.name == provider
        )
    )
    return found


async def _required(session: AsyncSession, principal: Principal, name: str) -> ProviderKey:
    row = await _find(session, principal, _known(name))
    if row is None:
        raise NotFound(f"{name} has no key yet: PUT /provider/{name} sets it", field="name")
    return row


async def _view(session: AsyncSession, row: ProviderKey) -> ProviderView:
    return ProviderView(
        name=row.name,
        api_key=await masked(session, row.secret_id),
        api_url=row.api_url,
        updated_at=row.updated_at,
    )
