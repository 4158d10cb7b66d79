"""The lists over HTTP: whom not to call, and who agreed."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, QueryParameter

from control_plane.compliance import lists
from control_plane.compliance.imports import ComplianceList
from control_plane.compliance.schemas import (
    Added,
    ConsentAdd,
    ConsentPage,
    ConsentView,
    DoNotCallAdd,
    DoNotCallPage,
    DoNotCallView,
    Revoked,
)
from control_plane.db.base import read_clock
from control_plane.db.models.compliance import Consent, DoNotCall
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import parse_id
from control_plane.domain.phone import e164
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.http.pages import Cursor, Limit
from control_plane.http.requests import decode
from control_plane.http.uploads import CSV_LIMIT, chunks, described, is_csv, whole

Number = Annotated[str | None, QueryParameter(description="Only this number, in E.164")]


class DoNotCallController(Controller):
    """Numbers that are never called."""

    path = "/do-not-call"
    tags = ("compliance",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(
        operation_id="addDoNotCall",
        summary="Forbid numbers",
        status_code=200,
        request_max_body_size=None,
        operation_class=described(
            DoNotCallAdd, columns="phone_number, and reason where there is one"
        ),
    )
    async def add(
        self, request: Request[Any, Any, Any], principal: GivenPrincipal, database: GivenDatabase
    ) -> Added:
        """Never call these numbers from now on; orders that wait for them end."""
        listed = ComplianceList(database, principal.organization_id, consents=False)
        if is_csv(request):
            return await listed.add_file(chunks(request, CSV_LIMIT))
        return await listed.add(decode(await whole(request), DoNotCallAdd))

    @get(operation_id="listDoNotCall", summary="List forbidden numbers", opt={"scope": "calls"})
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        number: Number = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> DoNotCallPage:
        """Return numbers that are not called, newest first."""
        async with database.reading() as db:
            rows = await lists.page(
                db,
                DoNotCall,
                principal.organization_id,
                number=_number(number),
                before=_before(cursor),
                limit=limit + 1,
            )
        views = [
            DoNotCallView(
                id=row.id,
                phone_number=row.phone_number,
                reason=row.reason,
                source=row.source,
                created_at=row.created_at,
            )
            for row in rows[:limit]
        ]
        return DoNotCallPage(views, views[-1].id if len(rows) > limit else None)

    @delete("/{entry:str}", operation_id="deleteDoNotCall", summary="Allow a number again")
    async def remove(
        self, entry: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Take a number, or an entry by its id, off the list."""
        which = _which(entry)
        async with database.transaction() as db:
            if not await lists.allow(db, principal.organization_id, which):
                raise NotFound(f"{which} is not on the do-not-call list", field="entry")


class ConsentController(Controller):
    """Who agreed to be called."""

    path = "/consent"
    tags = ("compliance",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(
        operation_id="addConsent",
        summary="Record agreements",
        status_code=200,
        request_max_body_size=None,
        operation_class=described(
            ConsentAdd, columns="phone_number, basis, and given_at where it is not now"
        ),
    )
    async def add(
        self, request: Request[Any, Any, Any], principal: GivenPrincipal, database: GivenDatabase
    ) -> Added:
        """Keep that these numbers agreed to be called, and how that is known."""
        listed = ComplianceList(database, principal.organization_id, consents=True)
        if is_csv(request):
            return await listed.add_file(chunks(request, CSV_LIMIT))
        return await listed.add(decode(await whole(request), ConsentAdd))

    @get(operation_id="listConsents", summary="List agreements", opt={"scope": "calls"})
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        number: Number = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> ConsentPage:
        """Return agreements, newest first, revoked ones too."""
        async with database.reading() as db:
            rows = await lists.page(
                db,
                Consent,
                principal.organization_id,
                number=_number(number),
                before=_before(cursor),
                limit=limit + 1,
            )
        views = [
            ConsentView(
                id=row.id,
                phone_number=row.phone_number,
                basis=row.basis,
                given_at=row.given_at,
                revoked_at=row.revoked_at,
                created_at=row.created_at,
            )
            for row in rows[:limit]
        ]
        return ConsentPage(views, views[-1].id if len(rows) > limit else None)

    @delete(
        "/{entry:str}", operation_id="revokeConsent", summary="Revoke an agreement", status_code=200
    )
    async def revoke(
        self, entry: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> Revoked:
        """Let one agreement, or all of a number, count no more; the rows are kept."""
        which = _which(entry)
        async with database.transaction() as db:
            now = await read_clock(db)
            count = await lists.revoke(db, principal.organization_id, which, now=now)
        if count is None:
            raise NotFound(f"there is no agreement of {which}", field="entry")
        return Revoked(count)


def _which(entry: str) -> str:
    """Return a number in E.164 or an id."""
    return e164(entry, field="entry") if entry.startswith("+") else parse_id(entry, what="entry")


def _number(text: str | None) -> str | None:
    """Return the number; a + that was not escaped arrives as a space."""
    if text is None:
        return None
    return e164(f"+{text[1:]}" if text.startswith(" ") else text, field="number")


def _before(cursor: str | None) -> str | None:
    return parse_id(cursor, what="entry", field="cursor") if cursor is not None else None
