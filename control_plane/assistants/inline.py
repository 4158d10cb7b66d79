"""Assistants that live in one order only: made ready before the transaction that stores them.

Encryption takes much longer than a statement, and on SQLite everybody waits for a transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from control_plane.assistants import secrets, specs
from control_plane.assistants.secrets import Reference
from control_plane.assistants.versions import Version, version_of
from control_plane.db.base import Base
from control_plane.db.crypto import Vault
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.db.models.organization import Secret
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.ids import new_id
from control_plane.domain.masks import hint_of
from control_plane.domain.placeholders import names

_SECRETS = Base.metadata.tables[Secret.__tablename__]
_VERSIONS = Base.metadata.tables[AssistantVersion.__tablename__]
WITHIN = "assistant."
"""What stands before the names of its fields in errors."""


class Inline(Struct, frozen=True):
    """An assistant whose secrets are sealed; `sealed` is their ciphertext, None without any.

    `assistant_id` is that of the stored assistant that it is a variation of.
    """

    organization_id: str
    version_id: str
    version: Version
    secret_id: str
    sealed: str | None
    assistant_id: str | None = None


def make(vault: Vault, organization_id: str, spec: AssistantSpec) -> Inline:
    """Return the assistant, not stored yet; its secrets are sealed together, as one.

    Raises:
        BadInput: a field cannot be used; names it.
    """
    return _make(vault, organization_id, spec, keep=frozenset())


def vary(
    organization_id: str,
    spec: AssistantSpec,
    *,
    of: Assistant,
    number: int,
    keep: Collection[str],
    vault: Vault,
) -> Inline:
    """Return a variation of a stored assistant for one order.

    Args:
        number: the version that it varies.
        keep: the references to sealed secrets that `spec` may hold: those of rows of this
            organization that it was made from. Any other text that looks like one is sealed.
    """
    made = _make(vault, organization_id, spec, keep=frozenset(keep))
    version = msgspec.structs.replace(made.version, number=number)
    return msgspec.structs.replace(made, assistant_id=of.id, version=version)


def _make(
    vault: Vault, organization_id: str, spec: AssistantSpec, *, keep: frozenset[str]
) -> Inline:
    key = new_id()
    clear: list[str] = []
    values: dict[str, str] = {}
    for place, value in secrets.find(spec):
        if value in keep:
            continue
        specs.refuse_mask(place, value, within=WITHIN)
        if place.is_url:
            values[place.field] = str(vault.seal_url(value))
            continue
        wanted = tuple(dict.fromkeys(names(value)))
        values[place.field] = str(Reference(key, hint_of(value), wanted, part=len(clear)))
        clear.append(value)
    version = version_of(0, specs.with_ids(secrets.put(spec, values), None))
    sealed = vault.seal(msgspec.json.encode(clear).decode()) if clear else None
    return Inline(organization_id, new_id(), version, key, sealed)


async def store(connection: AsyncConnection, made: list[Inline], *, now: datetime) -> None:
    """Write assistants, many at once; the caller commits."""
    sealed = [
        {
            "id": each.secret_id,
            "organization_id": each.organization_id,
            "ciphertext": each.sealed,
            "hint": "",
            "created_at": now,
            "updated_at": now,
        }
        for each in made
        if each.sealed is not None
    ]
    if sealed:
        await connection.execute(insert(_SECRETS), sealed)
    states = [
        {
            "id": each.version_id,
            "organization_id": each.organization_id,
            "assistant_id": None,
            "version": each.version.number,
            "spec": each.version.spec,
            "created_at": now,
        }
        for each in made
    ]
    if states:
        await connection.execute(insert(_VERSIONS), states)
