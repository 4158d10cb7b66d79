"""The organizations of this installation: made, listed, suspended, resumed by its operator."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.engine import Database, wake
from control_plane.db.models.organization import Organization
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import new_id, parse_id
from control_plane.http.dependencies import GivenDatabase
from control_plane.http.pages import Cursor, Limit
from control_plane.keys.making import OPERATOR, SCOPES, make_key
from control_plane.keys.schemas import KeyUsageView, key_view
from control_plane.organizations.naming import named_once
from control_plane.organizations.schemas import (
    OrganizationCreate,
    OrganizationEntry,
    OrganizationMade,
    OrganizationPage,
    entry,
)


class RegistryController(Controller):
    """Every organization of this installation; needs a key with the scope operator."""

    path = "/organizations"
    tags = ("organizations",)
    opt = {"scope": OPERATOR}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createOrganization", summary="Create an organization", status_code=201)
    async def create(
        self, data: JSONBody[OrganizationCreate], database: GivenDatabase
    ) -> OrganizationMade:
        """Return a new organization and its first key, which cannot be read again.

        With that key its trunks, numbers, assistants and further keys are added.
        """
        with named_once():
            async with database.transaction() as db:
                now = await read_clock(db)
                row = Organization(id=new_id(), name=data.name, created_at=now)
                db.add(row)
                await db.flush()
                key, whole = make_key(row.id, name="first", scopes=sorted(SCOPES), now=now)
                db.add(key)
        return OrganizationMade(organization=entry(row), key=key_view(key, KeyUsageView(), whole))

    @get(operation_id="listOrganizations", summary="List organizations")
    async def list_all(
        self, database: GivenDatabase, cursor: Cursor = None, limit: Limit = 50
    ) -> OrganizationPage:
        """Return organizations, newest first."""
        query = select(Organization).order_by(Organization.id.desc()).limit(limit + 1)
        if cursor is not None:
            before = parse_id(cursor, what="organization", field="cursor")
            query = query.where(Organization.id < before)
        async with database.reading() as db:
            rows = (await db.scalars(query)).all()
        entries = [entry(row) for row in rows[:limit]]
        return OrganizationPage(entries, entries[-1].id if len(rows) > limit else None)

    @post(
        "/{organization_id:str}/suspend",
        operation_id="suspendOrganization",
        summary="Suspend an organization",
        status_code=200,
    )
    async def suspend(
        self, organization_id: FromPath[str], database: GivenDatabase
    ) -> OrganizationEntry:
        """Let it make and take no new call; live ones end as they are, and its keys still read.

        Orders are refused, those that are there wait, and campaigns stand still.
        """
        return await _set(database, organization_id, suspended=True)

    @post(
        "/{organization_id:str}/resume",
        operation_id="resumeOrganization",
        summary="Resume an organization",
        status_code=200,
    )
    async def resume(
        self, organization_id: FromPath[str], database: GivenDatabase
    ) -> OrganizationEntry:
        """Let it call and be called again; the orders that waited for it are due at once."""
        return await _set(database, organization_id, suspended=False)


async def _set(database: Database, organization_id: str, *, suspended: bool) -> OrganizationEntry:
    async with database.transaction() as db:
        row = await _locked(db, organization_id)
        since: datetime | None = None
        if suspended:
            since = row.suspended_at or await read_clock(db)
        row.suspended_at = since
        wake(db)  # its trunks, its campaigns and the orders that wait
    return entry(row)


async def _locked(db: AsyncSession, organization_id: str) -> Organization:
    key = parse_id(organization_id, what="organization")
    row = await db.scalar(
        select(Organization).where(Organization.id == key).with_for_update(key_share=True)
    )
    if row is None:
        raise NotFound(
            f"there is no organization with the id {organization_id}; "
            "GET /organizations lists them",
            field="id",
        )
    return row
