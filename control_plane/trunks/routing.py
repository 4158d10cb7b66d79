"""Which trunk an outbound call takes, and what it may show as its number."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import phonenumbers
from msgspec import Struct
from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.organization import Organization
from control_plane.db.models.trunk import Number, Purpose, Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.number_type import ORDINARY, NumberType
from control_plane.domain.phone import is_fictitious
from control_plane.domain.zones import country
from control_plane.trunks.repository import list_numbers, list_trunks

_FRESH = timedelta(seconds=1)
_MOST = 1_000


class Route(Struct, frozen=True):
    """The trunk that an outbound call takes and the number it shows."""

    trunk: Trunk
    from_phone_number: str


class DialPlan(Struct, frozen=True, dict=True):
    """What an organization calls with: its settings, outbound trunks and numbers."""

    organization: Organization
    trunks: tuple[Trunk, ...]
    numbers: tuple[Number, ...]

    @cached_property
    def countries(self) -> frozenset[str]:
        """Return the regions that may be called: as set, else those of its own numbers."""
        chosen = self.organization.allowed_countries
        if chosen is not None:
            return frozenset(chosen)
        own = {number.phone_number for number in self.numbers}
        own |= {number for trunk in self.trunks for number in trunk.numbers}
        return frozenset(found for number in own if (found := country(number)) is not None)

    @cached_property
    def number_types(self) -> frozenset[NumberType]:
        """Return the types of numbers that may be called."""
        return ORDINARY.union(map(NumberType, self.organization.allowed_number_types))

    def is_like(self, other: DialPlan) -> bool:
        """Return whether both were read from rows with the same contents."""
        return self._contents == other._contents

    @cached_property
    def _contents(self) -> list[dict[str, Any]]:
        rows = (self.organization, *self.trunks, *self.numbers)
        return [
            {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}
            for row in rows
        ]

    def owns(self, phone_number: str) -> bool:
        """Return whether calls may show that number."""
        return any(each.phone_number == phone_number for each in self.numbers) or any(
            phone_number in trunk.numbers for trunk in self.trunks
        )

    def route(self, wanted: str | None, *, to: str) -> Route | None:
        """Return how to call `to` from `wanted`, or from the default number; None without a way.

        Who names no number to call from never gets a fictitious one called at a real carrier: it
        is the simulator's, or nobody's.
        """
        if not self.trunks:
            return None
        if wanted is None and is_fictitious(to):
            return self._simulated()
        by_id = {trunk.id: trunk for trunk in self.trunks}
        default = next((trunk for trunk in self.trunks if trunk.is_default), self.trunks[0])
        for number in self.numbers:
            if number.phone_number == wanted or (wanted is None and number.is_default):
                return Route(by_id.get(number.trunk_id or "", default), number.phone_number)
        if wanted is None:
            return Route(default, default.numbers[0]) if default.numbers else None
        return next(
            (Route(trunk, wanted) for trunk in self.trunks if wanted in trunk.numbers), None
        )

    def _simulated(self) -> Route | None:
        trunk = next((each for each in self.trunks if each.purpose is Purpose.SIMULATOR), None)
        if trunk is None:
            return None
        own = [number.phone_number for number in self.numbers if number.trunk_id == trunk.id]
        shown = next(iter([*own, *trunk.numbers]), None)
        return Route(trunk, shown) if shown is not None else None


def no_way(to: str) -> str:
    """Return why an organization that has trunks has none to call `to`, and the remedy."""
    if not is_fictitious(to):
        return "the organization has no outbound trunk for this number"
    return (
        "it is reserved for fiction (+1 NPA 555 0100 to 0199): only the carrier simulator has it, "
        "and the organization has no trunk to it; call a real number, name the trunk to try by a "
        "number of its own in from_phone_number, or `offhook trunk add --simulator`"
    )


class DialPlans:
    """DialPlans read lately: a change of settings, trunks or numbers is seen within a second."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[datetime, DialPlan]] = {}

    async def get(self, db: AsyncSession, organization_id: str, now: datetime) -> DialPlan:
        """Return what the organization calls with, as it was at most a second ago."""
        kept = self._kept.get(organization_id)
        if kept is None or not timedelta(0) <= now - kept[0] < _FRESH:
            if len(self._kept) > _MOST:
                self._kept.clear()
            kept = now, await load_dial_plan(db, organization_id)
            for row in (kept[1].organization, *kept[1].trunks, *kept[1].numbers):
                db.expunge(row)  # it outlives the transaction, whose rollback empties rows
            self._kept[organization_id] = kept
        return kept[1]

    def drop(self, organization_id: str, *, read_before: datetime) -> bool:
        """Have the organization read again if it was last read before then; return whether."""
        kept = self._kept.get(organization_id)
        if kept is None or kept[0] > read_before:
            return False
        del self._kept[organization_id]
        return True


async def load_dial_plan(db: AsyncSession, organization_id: str) -> DialPlan:
    """Return what the organization calls with, as the rows are now."""
    owner = (
        await db.execute(select(Organization).where(Organization.id == organization_id))
    ).scalar_one()
    trunks = await list_trunks(db, organization_id)
    return DialPlan(
        organization=owner,
        trunks=tuple(trunk for trunk in trunks if trunk.direction == Direction.OUTBOUND),
        numbers=tuple(await list_numbers(db, organization_id)),
    )


def country_prefix(phone_number: str) -> str:
    """Return `+` and the country code of an E.164 number."""
    return f"+{phonenumbers.parse(phone_number, None).country_code}"
