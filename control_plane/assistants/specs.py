"""An assistant's spec as rows hold it: plain values, with secrets referred to by id."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.crypto import Vault
from control_plane.domain.assistant import AssistantSpec, CustomModel
from control_plane.sealed import mask, seal, unseal

_REFERENCE = "secret:"


async def store(
    session: AsyncSession,
    vault: Vault,
    organization_id: str,
    spec: AssistantSpec,
    *,
    now: datetime,
    previous: AssistantSpec | None = None,
) -> dict[str, Any]:
    """Return `spec` as plain values, its keys sealed in rows of their own.

    Args:
        previous: the stored spec that this one replaces; a key that changes is rotated in
            place, so that it reaches the orders that wait with the old version.
    """
    model = spec.llm_model
    if isinstance(model, CustomModel) and not model.api_key.startswith(_REFERENCE):
        before = previous.llm_model if previous is not None else None
        replaces = _id(before.api_key) if isinstance(before, CustomModel) else None
        secret = await seal(
            session, vault, organization_id, model.api_key, now=now, replaces=replaces
        )
        reference = f"{_REFERENCE}{secret.id}:{secret.hint}"
        spec = _with_key(spec, model, reference)
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    return plain


def load(stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec; its keys are references."""
    return msgspec.convert(stored, AssistantSpec)


def shown(stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec with masks in place of its keys."""
    spec = load(stored)
    model = spec.llm_model
    if isinstance(model, CustomModel):
        return _with_key(spec, model, mask(model.api_key.rpartition(":")[2]))
    return spec


async def opened(session: AsyncSession, vault: Vault, stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec with its keys in clear, for the agent."""
    spec = load(stored)
    model = spec.llm_model
    if isinstance(model, CustomModel):
        return _with_key(spec, model, await unseal(session, vault, _id(model.api_key)))
    return spec


def _with_key(spec: AssistantSpec, model: CustomModel, key: str) -> AssistantSpec:
    return msgspec.structs.replace(spec, llm_model=msgspec.structs.replace(model, api_key=key))


def _id(reference: str) -> str:
    return reference.removeprefix(_REFERENCE).partition(":")[0]
