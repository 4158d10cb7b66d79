"""Cloud providers: the key and the endpoint that an organization reaches each of them with.

Whoever administers them may have a provider asked about a key, within the request.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance.suspended import check_may_spend
from control_plane.db.crypto import Vault
from control_plane.db.models.organization import ProviderKey
from control_plane.db.sealed import masked, seal, unseal
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.errors import BadInput, Conflict, NotFound
from control_plane.domain.ids import new_id
from control_plane.domain.masks import looks_masked
from control_plane.domain.providers import Provider
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.providers.address import check_address, same_place
from control_plane.providers.asking import KeyCheck, Verdict, check_key
from control_plane.providers.needed import address_of
from process.addresses import Allowed

GivenAllowed = NamedDependency[Allowed]


class ProviderPut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's key; `api_url` only where it is not the provider's own."""

    api_key: Annotated[str, Meta(min_length=1, max_length=2_000)]
    api_url: Annotated[str, Meta(max_length=2_000, pattern=r"^(https?|wss?)://\S+$")] | None = None


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider's key, masked; `check` is there when the provider was asked about it."""

    name: str
    api_key: str | None
    api_url: str | None
    updated_at: datetime
    check: KeyCheck | UnsetType = UNSET


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
        allowed: GivenAllowed,
        check: Annotated[
            bool,
            QueryParameter(
                description="Ask the provider first; a key it does not accept is not stored"
            ),
        ] = False,
    ) -> ProviderView:
        """Set the key; a masked value sent back leaves it as it is, where its address stays."""
        provider, now = _known(name), datetime.now(UTC)
        await check_address(data.api_url, allowed)
        told: KeyCheck | UnsetType = UNSET
        if check:
            async with database.reading() as db:
                await check_may_spend(db, principal.organization_id)
                stored = await _find(db, principal, provider)
                key = await _meant(db, vault, stored, data)
            told = await check_key(provider, ProviderAccess(key, data.api_url), allowed)
            _require_accepted(provider, told)
        address = vault.seal_url(data.api_url) if data.api_url is not None else None
        async with database.transaction() as db:
            row = await _find(db, principal, provider)
            await _require_meant(db, vault, row, data)
            secret = await seal(
                db,
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
                db.add(row)
            row.api_url, row.updated_at = address, now
            return await _view(db, vault, row, told)

    @post(
        "/{name:str}/check",
        operation_id="checkProvider",
        summary="Ask a provider about its key",
        status_code=200,
    )
    async def check_one(
        self,
        name: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        allowed: GivenAllowed,
    ) -> ProviderView:
        """Ask the provider now whether it accepts the stored key."""
        async with database.reading() as db:
            await check_may_spend(db, principal.organization_id)
            row = await _required(db, principal, name)
            key = await unseal(db, vault, row.secret_id)
            access = ProviderAccess(key, address_of(vault, row))
            view = await _view(db, vault, row)
        return msgspec.structs.replace(view, check=await check_key(_known(name), access, allowed))

    @get(operation_id="listProviders", summary="List providers")
    async def list_all(
        self, principal: GivenPrincipal, database: GivenDatabase, vault: GivenVault
    ) -> ProviderList:
        """List the providers that have a key."""
        async with database.reading() as db:
            rows = await db.scalars(
                select(ProviderKey)
                .where(ProviderKey.organization_id == principal.organization_id)
                .order_by(ProviderKey.name)
            )
            return ProviderList([await _view(db, vault, row) for row in rows.all()])

    @get("/{name:str}", operation_id="getProvider", summary="Get a provider")
    async def get_one(
        self,
        name: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> ProviderView:
        """Return the provider, its key masked."""
        async with database.reading() as db:
            return await _view(db, vault, await _required(db, principal, name))

    @delete("/{name:str}", operation_id="deleteProvider", summary="Forget a provider's key")
    async def remove(
        self, name: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Forget the key."""
        async with database.transaction() as db:
            await db.delete(await _required(db, principal, name))


def _known(name: str) -> Provider:
    try:
        return Provider(name)
    except ValueError as exc:
        raise NotFound(
            f"there is no provider {name[:50]!r}; known are {', '.join(Provider)}", field="name"
        ) from exc


async def _find(db: AsyncSession, principal: Principal, provider: Provider) -> ProviderKey | None:
    found: ProviderKey | None = await db.scalar(
        select(ProviderKey).where(
            ProviderKey.organization_id == principal.organization_id, ProviderKey.name == provider
        )
    )
    return found


async def _required(db: AsyncSession, principal: Principal, name: str) -> ProviderKey:
    row = await _find(db, principal, _known(name))
    if row is None:
        raise NotFound(f"{name} has no key yet: PUT /provider/{name} sets it", field="name")
    return row


async def _meant(
    db: AsyncSession, vault: Vault, stored: ProviderKey | None, data: ProviderPut
) -> str:
    """Return the key that is meant: the stored one when its masked form was sent back."""
    await _require_meant(db, vault, stored, data)
    if stored is not None and data.api_key == await masked(db, stored.secret_id):
        return await unseal(db, vault, stored.secret_id)
    return data.api_key


async def _require_meant(
    db: AsyncSession, vault: Vault, stored: ProviderKey | None, data: ProviderPut
) -> None:
    """Refuse a mask that stands for no key, and one whose key would go to another address."""
    if not looks_masked(data.api_key):
        return
    if stored is None or data.api_key != await masked(db, stored.secret_id):
        raise BadInput(
            "api_key is a mask that stands for no stored key: give the key itself", field="api_key"
        )
    if not same_place(address_of(vault, stored), data.api_url):
        raise BadInput(
            "api_url is not the one that the stored key is for: give api_key itself again, so "
            "that no key goes to an address it was not given for",
            field="api_key",
        )


def _require_accepted(provider: Provider, told: KeyCheck) -> None:
    name = provider.value
    if told.verdict is Verdict.REFUSED:
        raise Conflict(f"{name} {told.said}; nothing was stored", field="api_key")
    if told.verdict is Verdict.UNKNOWN:
        raise Conflict(
            f"{name} {told.said}; nothing was stored: `offhook provider set {name} --no-check`, "
            "or this request without check, stores the key all the same",
            field="api_key",
        )


async def _view(
    db: AsyncSession, vault: Vault, row: ProviderKey, check: KeyCheck | UnsetType = UNSET
) -> ProviderView:
    return ProviderView(
        name=row.name,
        api_key=await masked(db, row.secret_id),
        api_url=vault.show_url(row.api_url) if row.api_url is not None else None,
        updated_at=row.updated_at,
        check=check,
    )
