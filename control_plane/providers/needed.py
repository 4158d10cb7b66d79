"""Which providers an assistant needs, and which of their keys are not there."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.organization import ProviderKey
from control_plane.domain.assistant import (
    AssistantSpec,
    DedicatedModel,
    OpenRouterModel,
    Provider,
)

_DEDICATED = {"gpt-4.1": Provider.OPENAI, "ministral-3-8b-instruct": Provider.MISTRAL}


def providers_of(spec: AssistantSpec) -> set[Provider]:
    """Return the providers whose keys the assistant's agent needs, and no others."""
    needed: set[Provider] = set()
    if spec.voice is not None:
        needed.add(Provider(spec.voice.provider))
    if spec.ears.provider != "offline":
        needed.add(Provider(spec.ears.provider))
    match spec.llm_model:
        case DedicatedModel(name=name):
            needed.add(_DEDICATED[name])
        case OpenRouterModel():
            needed.add(Provider.OPENROUTER)
    return needed


async def missing_keys(
    session: AsyncSession, organization_id: str, spec: AssistantSpec
) -> list[Provider]:
    """Return the providers that the assistant needs and the organization has no key for."""
    needed = providers_of(spec)
    if not needed:
        return []
    there = await session.scalars(
        select(ProviderKey.name).where(
            ProviderKey.organization_id == organization_id, ProviderKey.name.in_(needed)
        )
    )
    return sorted(needed - {Provider(name) for name in there.all()})
