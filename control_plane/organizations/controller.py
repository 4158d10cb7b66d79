"""An organization's own settings: whom it may call, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import phonenumbers
from litestar import Controller, get, patch
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.domain.calling_times import check_zone
from control_plane.domain.errors import BadInput
from control_plane.domain.number_type import ASKED_FOR
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.organizations.naming import named_once
from control_plane.trunks.routing import load_dial_plan

Countries = Annotated[list[str], Meta(max_length=300)]
NumberTypes = Annotated[list[str], Meta(max_length=20)]


class OrganizationPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to the settings; what is absent stays."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    default_timezone: Annotated[str, Meta(max_length=60)] | None | UnsetType = UNSET
    allowed_countries: Countries | None | UnsetType = UNSET
    allowed_number_types: NumberTypes | UnsetType = UNSET
    consent_required: bool | UnsetType = UNSET
    attempts_per_day: Annotated[int, Meta(ge=1, le=1_000)] | None | UnsetType = UNSET


class OrganizationView(Struct, frozen=True, kw_only=True):
    """The settings.

    `allowed_countries` null means those of the organization's own numbers, `callable_countries`
    what that comes to now. `allowed_number_types` are the costly types that may be called besides
    fixed lines, mobiles, VoIP and toll-free numbers. `attempts_per_day` is per number called, in
    the callee's day. `suspended_at` says since when it makes and takes no call: null if it may.
    """

    id: str
    name: str
    default_timezone: str | None
    allowed_countries: list[str] | None
    callable_countries: list[str]
    allowed_number_types: list[str]
    consent_required: bool
    attempts_per_day: int | None
    suspended_at: datetime | None


class OrganizationController(Controller):
    """The organization that a key belongs to."""

    path = "/organization"
    tags = ("organization",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @get(operation_id="getOrganization", summary="Get the organization", opt={"scope": "calls"})
    async def get_own(self, principal: GivenPrincipal, database: GivenDatabase) -> OrganizationView:
        """Return the settings."""
        async with database.reading() as db:
            return await _view(db, principal.organization_id)

    @patch(operation_id="updateOrganization", summary="Change the organization")
    async def change(
        self,
        data: JSONBody[OrganizationPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> OrganizationView:
        """Change what is given; orders that wait are judged by it from now on."""
        async with database.transaction() as db:
            row = (await load_dial_plan(db, principal.organization_id)).organization
            if data.name is not UNSET:
                row.name = data.name
            if data.default_timezone is not UNSET:
                if data.default_timezone is not None:
                    check_zone(data.default_timezone, field="default_timezone")
                row.default_timezone = data.default_timezone
            if data.allowed_countries is not UNSET:
                row.allowed_countries = _countries(data.allowed_countries)
            if data.allowed_number_types is not UNSET:
                row.allowed_number_types = _number_types(data.allowed_number_types)
            if data.consent_required is not UNSET:
                row.consent_required = data.consent_required
            if data.attempts_per_day is not UNSET:
                row.attempts_per_day = data.attempts_per_day
            with named_once():
                await db.flush()
            wake(db)
            return await _view(db, principal.organization_id)


def _countries(given: list[str] | None) -> list[str] | None:
    if given is None:
        return None
    for index, word in enumerate(given):
        if word.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise BadInput(
                "write a country by its two letters (ISO 3166), such as US or GB",
                field=f"allowed_countries[{index}]",
            )
    return sorted({word.upper() for word in given})


def _number_types(given: list[str]) -> list[str]:
    for index, word in enumerate(given):
        if word.lower() not in ASKED_FOR:
            raise BadInput(
                f"write one of {', '.join(ASKED_FOR)}; other types need no leave",
                field=f"allowed_number_types[{index}]",
            )
    return sorted({word.lower() for word in given})


async def _view(db: AsyncSession, organization_id: str) -> OrganizationView:
    dial_plan = await load_dial_plan(db, organization_id)
    row = dial_plan.organization
    return OrganizationView(
        id=row.id,
        name=row.name,
        default_timezone=row.default_timezone,
        allowed_countries=row.allowed_countries,
        callable_countries=sorted(dial_plan.countries),
        allowed_number_types=row.allowed_number_types,
        consent_required=row.consent_required,
        attempts_per_day=row.attempts_per_day,
        suspended_at=row.suspended_at,
    )
