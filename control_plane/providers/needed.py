"""Which providers an assistant needs, and which of their keys are not there."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance.suspended import check_may_spend
from control_plane.db.crypto import Vault
from control_plane.db.models.organization import ProviderKey
from control_plane.db.sealed import unseal
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.providers import (
    DEFAULT_MODEL,
    EmbeddedModel,
    Provider,
    RealtimeModel,
    in_force,
    provider_of,
)


def providers_of(spec: AssistantSpec) -> set[Provider]:
    """Return the providers whose keys the assistant's agent needs, and no others."""
    needed: set[Provider] = set()
    for voice in (spec.voice, *spec.voice_fallbacks):
        if voice is not None:
            needed.add(Provider(voice.provider))
    for stt in (spec.stt, *spec.stt_fallbacks):
        if stt.provider != "offline" and not isinstance(spec.llm_model, RealtimeModel):
            needed.add(Provider(stt.provider))
    for model in (spec.llm_model, *spec.llm_fallbacks):
        if model is not None and (provider := provider_of(model)) is not None:
            needed.add(provider)
    return needed


async def access_of(
    db: AsyncSession, vault: Vault, organization_id: str, needed: set[Provider]
) -> dict[Provider, ProviderAccess]:
    """Return the keys, in clear, of those providers that the organization has one for.

    Raises:
        Conflict: the organization is suspended.
    """
    if not needed:
        return {}
    await check_may_spend(db, organization_id)
    rows = await db.scalars(
        select(ProviderKey).where(
            ProviderKey.organization_id == organization_id, ProviderKey.name.in_(needed)
        )
    )
    return {
        Provider(row.name): ProviderAccess(
            await unseal(db, vault, row.secret_id), address_of(vault, row)
        )
        for row in rows.all()
    }


def address_of(vault: Vault, row: ProviderKey) -> str | None:
    """Return the whole address that an organization reaches a provider at; None: its own."""
    return vault.open_url(row.api_url) if row.api_url is not None else None


async def for_agent(db: AsyncSession, organization_id: str, spec: AssistantSpec) -> AssistantSpec:
    """Return `spec` with the model that is in force now; null is the embedded dialogue."""
    model = spec.llm_model
    if model is None:
        model = in_force(None, await keys_for_default(db, organization_id))
    acting = None if isinstance(model, EmbeddedModel) else model
    return msgspec.structs.replace(spec, llm_model=acting)


async def keys_for_default(db: AsyncSession, organization_id: str) -> set[Provider]:
    """Return the providers with a key of which `in_force` asks."""
    needed = provider_of(DEFAULT_MODEL)
    found = await db.scalar(
        select(ProviderKey.name).where(
            ProviderKey.organization_id == organization_id, ProviderKey.name == needed
        )
    )
    return set() if found is None else {Provider(found)}


async def missing_keys(
    db: AsyncSession, organization_id: str, spec: AssistantSpec
) -> list[Provider]:
    """Return the providers that the assistant needs and the organization has no key for."""
    needed = providers_of(spec)
    if not needed:
        return []
    there = await db.scalars(
        select(ProviderKey.name).where(
            ProviderKey.organization_id == organization_id, ProviderKey.name.in_(needed)
        )
    )
    return sorted(needed - {Provider(name) for name in there.all()})
