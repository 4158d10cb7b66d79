"""An assistant's spec as rows hold it: plain values, with secrets referred to by id."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import secrets
from control_plane.assistants.secrets import Place, Reference
from control_plane.db.crypto import Vault
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.brief import Direction
from control_plane.domain.errors import BadInput
from control_plane.domain.ids import new_id
from control_plane.domain.number_type import needs_leave
from control_plane.domain.phone import read
from control_plane.domain.placeholders import names
from control_plane.sealed import looks_masked, mask, seal, unseal
from control_plane.trunks.repository import list_numbers, list_trunks
from control_plane.trunks.routing import load_house


async def store(
    session: AsyncSession,
    vault: Vault,
    organization_id: str,
    spec: AssistantSpec,
    *,
    now: datetime,
    previous: AssistantSpec | None = None,
    within: str = "",
) -> dict[str, Any]:
    """Return `spec` as plain values, its secrets sealed in rows of their own.

    Args:
        previous: the stored spec that this one replaces; a secret that changes is rotated in
            place, so that it reaches the orders that wait with the old version.
        within: what stands before the names of fields in errors, such as `assistant.`.

    Raises:
        BadInput: a number is not the organization's or of a type that it may not call, or a mask
            stands for nothing.
    """
    if previous is None or previous.from_phone_number != spec.from_phone_number:
        await _check_number(session, organization_id, spec, within)
    if previous is None or previous.transfer_phone_number != spec.transfer_phone_number:
        await _check_transfer(session, organization_id, spec, within)
    before = dict(secrets.find(previous)) if previous is not None else {}
    values: dict[str, str] = {}
    for place, value in secrets.find(spec):
        if value in before.values() and Reference.parse(value) is not None:
            continue  # a reference that was kept
        found = _replaced(before, place, value)
        old = found[1] if found is not None else None
        moved = found is not None and found[0].goes_to != place.goes_to
        if old is not None and value == old.masked:
            if moved:
                raise BadInput(
                    f"{place.field} is a mask, and its address is not the one that the secret "
                    "was given for: give the value itself again",
                    field=f"{within}{place.field}",
                )
            values[place.field] = str(old)
            continue
        if looks_masked(value):
            raise BadInput(
                f"{place.field} is a mask that stands for no secret of this assistant: "
                "give the value itself",
                field=f"{within}{place.field}",
            )
        wanted = tuple(dict.fromkeys(names(value)))
        # Orders that wait with the old version have no value for another variable, and send
        # what they have to the old address.
        replaces = old.id if old is not None and old.names == wanted and not moved else None
        row = await seal(session, vault, organization_id, value, now=now, replaces=replaces)
        values[place.field] = str(Reference(row.id, row.hint, wanted))
    spec = _with_ids(secrets.put(spec, values), previous)
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    return plain


def load(stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec; its secrets are references."""
    return msgspec.convert(stored, AssistantSpec)


def shown(stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec with masks in place of its secrets."""
    spec = load(stored)
    return secrets.put(spec, {place.field: _masked(value) for place, value in secrets.find(spec)})


async def opened(session: AsyncSession, vault: Vault, stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec with its secrets in clear, for the agent."""
    spec = load(stored)
    values = {
        place.field: await unseal(session, vault, reference.id)
        for place, value in secrets.find(spec)
        if (reference := Reference.parse(value)) is not None
    }
    return secrets.put(spec, values)


async def _check_number(
    session: AsyncSession, organization_id: str, spec: AssistantSpec, within: str
) -> None:
    number = spec.from_phone_number
    if number is None:
        return
    trunks = await list_trunks(session, organization_id)
    if any(number in each.numbers for each in trunks if each.direction == Direction.OUTBOUND):
        return
    if any(each.phone_number == number for each in await list_numbers(session, organization_id)):
        return
    raise BadInput(
        f"{number} is not a number of this organization: POST /number adds it",
        field=f"{within}from_phone_number",
    )


async def _check_transfer(
    session: AsyncSession, organization_id: str, spec: AssistantSpec, within: str
) -> None:
    number = spec.transfer_phone_number
    if number is None:
        return
    kind = read(number).type
    if kind not in (await load_house(session, organization_id)).number_types:
        raise BadInput(
            f"transfer_phone_number may not be called: {needs_leave(kind)}",
            field=f"{within}transfer_phone_number",
        )


def _replaced(before: dict[Place, str], place: Place, value: str) -> tuple[Place, Reference] | None:
    """Return what stood at `place`; for the mask of a tool with a new name, what it stood for."""
    by_identity = {
        each.identity: (each, reference)
        for each, text in before.items()
        if (reference := Reference.parse(text)) is not None
    }
    found = by_identity.get(place.identity)
    if found is not None or not looks_masked(value):
        return found
    alike = [
        each
        for identity, each in by_identity.items()
        if identity[:2] == place.identity[:2] and each[1].masked == value
    ]
    return alike[0] if len(alike) == 1 else None


def _with_ids(spec: AssistantSpec, previous: AssistantSpec | None) -> AssistantSpec:
    """Return `spec` with an id for each question: the one it had, if it was there before."""
    if all(item.id is not None for item in spec.faq_items):
        return spec
    known = {item.question: item.id for item in previous.faq_items} if previous else {}
    items = tuple(
        msgspec.structs.replace(item, id=item.id or known.pop(item.question, None) or new_id())
        for item in spec.faq_items
    )
    return msgspec.structs.replace(spec, faq_items=items)


def _masked(stored: str) -> str:
    # Before query parameters were sealed, they stood in specs in clear.
    found = Reference.parse(stored)
    return found.masked if found is not None else mask("")
