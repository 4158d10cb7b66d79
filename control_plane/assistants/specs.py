"""An assistant's spec as rows hold it: plain values, with secrets referred to by id."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import secrets
from control_plane.assistants.secrets import Place, Reference
from control_plane.db.crypto import Vault
from control_plane.db.models.organization import Secret
from control_plane.db.sealed import Sealer, add_sealed, unseal
from control_plane.domain.assistant import AssistantSpec, humans_of
from control_plane.domain.brief import Direction
from control_plane.domain.credentials import refuse_masked_url
from control_plane.domain.errors import BadInput
from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl, looks_masked, looks_masked_url, mask
from control_plane.domain.number_type import needs_leave
from control_plane.domain.phone import read
from control_plane.domain.placeholders import names
from control_plane.domain.zones import country
from control_plane.trunks.repository import list_numbers, list_trunks
from control_plane.trunks.routing import DialPlan, load_dial_plan

S = TypeVar("S", bound=Struct)

_AT_ONCE = 400
"""Values of one statement; SQLite's oldest limit is 999."""


async def store(
    db: AsyncSession,
    sealer: Vault | Sealer,
    organization_id: str,
    spec: AssistantSpec,
    *,
    now: datetime,
    previous: AssistantSpec | None = None,
) -> dict[str, Any]:
    """Return `spec` as plain values, its secrets sealed in rows of their own.

    Args:
        previous: the stored spec that this one replaces; a secret that changes is rotated in
            place, so that it reaches the orders that wait with the old version.
        sealer: what `sealer_for` made, unless there is next to nothing to seal.

    Raises:
        BadInput: a number is not the organization's or of a type that it may not call, or a mask
            stands for nothing.
    """
    if previous is None or previous.from_phone_number != spec.from_phone_number:
        await _check_number(db, organization_id, spec)
    if previous is None or humans_of(previous) != humans_of(spec):
        check_transfer(spec, await load_dial_plan(db, organization_id))
    before = _Before(previous)
    _rows = await _load(db, before.values)
    values: dict[str, str] = {}
    for place, value in secrets.find(spec):
        if place.is_url:
            kept = before.urls.get(place.identity)
            values[place.field] = str(sealed_url(sealer, place, value, kept=kept))
            continue
        if value in before.values and Reference.parse(value) is not None:
            continue  # a reference that was kept
        found = before.find(place, value)
        old = found[1] if found is not None else None
        moved = found is not None and found[0].goes_to != place.goes_to
        if old is not None and value == old.masked:
            if moved:
                raise BadInput(
                    f"{place.field} is a mask, and its address is not the one that the secret "
                    "was given for: give the value itself again",
                    field=place.field,
                )
            values[place.field] = str(old)
            continue
        refuse_mask(place, value)
        wanted = tuple(dict.fromkeys(names(value)))
        # Orders that wait with the old version have no value for another variable, and send
        # what they have to the old address.
        replaces = old.id if old is not None and old.names == wanted and not moved else None
        row = await add_sealed(db, sealer, organization_id, value, now=now, replaces=replaces)
        values[place.field] = str(Reference(row.id, row.hint, wanted))
    await db.flush()
    spec = with_ids(secrets.put(spec, values), previous)
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    return plain


async def sealer_for(
    vault: Vault, spec: AssistantSpec, previous: AssistantSpec | None = None
) -> Sealer:
    """Return what `store` seals with, its work done: call it before the transaction."""
    before = {value for _, value in secrets.find(previous)} if previous is not None else set()
    new = [(place, v) for place, v in secrets.find(spec) if v not in before]
    clear = [v for place, v in new if not place.is_url and not looks_masked(v)]
    urls = [v for place, v in new if place.is_url and not looks_masked_url(v)]
    return await asyncio.to_thread(Sealer, vault, *clear, urls=urls)


def sealed_url(
    sealer: Vault | Sealer, place: Place, given: str, *, kept: SealedUrl | None
) -> SealedUrl:
    """Return the address `given` sealed; `kept`, where it is what stood there, sealed or masked.

    Raises:
        BadInput: it is sealed or masked, and did not stand there.
    """
    if kept is not None and given in (str(kept), kept.shown):
        return kept
    refuse_mask(place, given)
    return sealer.seal_url(given)


def load(stored: dict[str, Any]) -> AssistantSpec:
    """Return a stored spec; its secrets are references."""
    return msgspec.convert(stored, AssistantSpec)


def shown(spec: S, vault: Vault | None = None) -> S:
    """Return a loaded spec, or a part of one, with masks in place of its secrets.

    Args:
        vault: opens its addresses, for who may change them; what no key opens any more is masked.
    """
    return secrets.put(spec, {p.field: _shown(p, value, vault) for p, value in secrets.find(spec)})


async def opened(db: AsyncSession, vault: Vault, spec: AssistantSpec) -> AssistantSpec:
    """Return a loaded spec with its secrets in clear, for the agent.

    But for its `webhook_url`: that is told of calls by us.
    """
    found = list(secrets.find(spec))
    _rows = await _load(db, {value for _, value in found})
    values: dict[str, str] = {}
    together: dict[str, list[str]] = {}
    for place, value in found:
        if place.is_url:
            sealed = SealedUrl.parse(value)
            if place.field == "webhook_url":
                values[place.field] = secrets.shown(value)
            elif sealed is not None:
                values[place.field] = vault.open_url(sealed)
            continue
        reference = Reference.parse(value)
        if reference is None:
            continue
        if reference.part is None:
            values[place.field] = await unseal(db, vault, reference.id)
            continue
        if reference.id not in together:
            clear = await unseal(db, vault, reference.id)
            together[reference.id] = msgspec.json.decode(clear, type=list[str])
        values[place.field] = together[reference.id][reference.part]
    return secrets.put(spec, values)


def refuse_mask(place: Place, value: str, *, within: str = "") -> None:
    """Refuse a mask where no secret stood before; `within` precedes the field's name.

    Raises:
        BadInput: it is one.
    """
    if place.is_url:
        refuse_masked_url(value, field=f"{within}{place.field}")
    elif looks_masked(value):
        raise BadInput(
            f"{place.field} is a mask that stands for no secret of this assistant: "
            "give the value itself",
            field=f"{within}{place.field}",
        )


async def _load(db: AsyncSession, references: Collection[str]) -> list[Secret]:
    """Return the secrets' rows; while they are referred to, each is found without a statement."""
    ids = list({found.id for each in references if (found := Reference.parse(each)) is not None})
    rows: list[Secret] = []
    for at in range(0, len(ids), _AT_ONCE):
        some = select(Secret).where(Secret.id.in_(ids[at : at + _AT_ONCE]))
        rows += await db.scalars(some)
    return rows


async def _check_number(db: AsyncSession, organization_id: str, spec: AssistantSpec) -> None:
    number = spec.from_phone_number
    if number is None:
        return
    trunks = await list_trunks(db, organization_id)
    if any(number in each.numbers for each in trunks if each.direction == Direction.OUTBOUND):
        return
    if any(each.phone_number == number for each in await list_numbers(db, organization_id)):
        return
    raise BadInput(
        f"{number} is not a number of this organization: POST /number adds it",
        field="from_phone_number",
    )


def check_transfer(spec: AssistantSpec, dial_plan: DialPlan, *, within: str = "") -> None:
    """Refuse numbers of transfers whose type or whose country may not be called.

    An organization without a number or a list of countries has none to hold them to yet.

    Raises:
        BadInput: one may not; `within` precedes the field's name.
    """
    numbers = [("transfer_phone_number", spec.transfer_phone_number)]
    numbers += [
        (f"transfer_targets[{n}].phone_number", target.phone_number)
        for n, target in enumerate(spec.transfer_targets)
    ]
    for field, number in numbers:
        if number is not None:
            _check_human(number, dial_plan, f"{within}{field}")


def _check_human(number: str, dial_plan: DialPlan, field: str) -> None:
    found = read(number)
    if found.type not in dial_plan.number_types:
        raise BadInput(f"{field} may not be called: {needs_leave(found.type)}", field=field)
    if dial_plan.countries and country(found.e164) not in dial_plan.countries:
        raise BadInput(
            f"{field} may not be called: its country is not on the organization's "
            "list: PATCH /organization with allowed_countries, or `offhook allow COUNTRY`, widens "
            "it",
            field=field,
        )


class _Before:
    """What stood in an assistant, to be found by where it stood and by its mask."""

    def __init__(self, previous: AssistantSpec | None):
        self.values: set[str] = set()
        self._by_identity: dict[tuple[str, ...], tuple[Place, Reference]] = {}
        self._alike: dict[tuple[tuple[str, ...], str], list[tuple[Place, Reference]]] = {}
        self.urls: dict[tuple[str, ...], SealedUrl] = {}
        for place, value in secrets.find(previous) if previous is not None else ():
            self.values.add(value)
            if place.is_url and (sealed := SealedUrl.parse(value)) is not None:
                self.urls[place.identity] = sealed
            reference = Reference.parse(value)
            if reference is not None:
                self._by_identity[place.identity] = (place, reference)
                self._alike.setdefault((place.identity[:2], reference.masked), []).append(
                    (place, reference)
                )

    def find(self, place: Place, value: str) -> tuple[Place, Reference] | None:
        """Return what stood at `place`; for the mask of a renamed tool, what it stood for."""
        found = self._by_identity.get(place.identity)
        if found is not None or not looks_masked(value):
            return found
        alike = self._alike.get((place.identity[:2], value), [])
        return alike[0] if len(alike) == 1 else None


def with_ids(spec: AssistantSpec, previous: AssistantSpec | None) -> AssistantSpec:
    """Return `spec` with an id for each question: the one it had, if it was there before."""
    if all(item.id is not None for item in spec.faq_items):
        return spec
    known = {item.question: item.id for item in previous.faq_items} if previous else {}
    items = tuple(
        msgspec.structs.replace(item, id=item.id or known.pop(item.question, None) or new_id())
        for item in spec.faq_items
    )
    return msgspec.structs.replace(spec, faq_items=items)


def _shown(place: Place, stored: str, vault: Vault | None) -> str:
    if place.is_url:
        if vault is None:
            return secrets.shown(stored)
        sealed = SealedUrl.parse(stored)
        return vault.show_url(sealed) if sealed is not None else stored
    # Before query parameters were sealed, they stood in specs in clear.
    found = Reference.parse(stored)
    return found.masked if found is not None else mask("")
