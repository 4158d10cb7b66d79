"""The audit log over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter
from msgspec import Struct

from control_plane.audit.trail import entries
from control_plane.domain.ids import parse_id
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.http.pages import Limit


class AuditView(Struct, frozen=True, kw_only=True):
    """One change: which key asked for what, and how it was answered."""

    id: str
    at: datetime
    key_id: str | None
    operation: str
    method: str
    path: str
    status: int


class AuditPage(Struct, frozen=True):
    """Changes, newest first; `next_cursor` is null on the last page."""

    entries: list[AuditView]
    next_cursor: str | None


class AuditController(Controller):
    """Who changed what."""

    path = "/audit"
    tags = ("keys",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @get(operation_id="listAudit", summary="List changes")
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        cursor: Annotated[str | None, QueryParameter(description="next_cursor before")] = None,
        limit: Limit = 50,
    ) -> AuditPage:
        """Return every change of the organization's settings; nobody can alter the list."""
        before = parse_id(cursor, what="entry", field="cursor") if cursor is not None else None
        async with database.reading() as db:
            rows = await entries(db, principal.organization_id, before=before, limit=limit + 1)
        views = [
            AuditView(
                id=row.id,
                at=row.at,
                key_id=row.api_key_id,
                operation=row.operation,
                method=row.method,
                path=row.path,
                status=row.status,
            )
            for row in rows[:limit]
        ]
        return AuditPage(views, views[-1].id if len(rows) > limit else None)
