"""The audit log: every change through the API, by which key, and how it was answered."""

from __future__ import annotations

from typing import Any

from litestar.connection import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.compliance import AuditEntry
from control_plane.domain.ids import new_id
from control_plane.http.auth import STATE
from process.logs import get_logger

_READS = {"GET", "HEAD", "OPTIONS"}
log = get_logger(__name__)


class AuditTrail(ASGIMiddleware):
    """Notes each request that changes something and needs more than the scope calls; orders tell
    their own key."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve the request, then note it."""
        status = size = 0

        async def watch(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message["body"])
            await send(message)

        await next_app(scope, receive, watch)
        request: Request[Any, Any, Any] = Request(scope)
        handler = scope["route_handler"]
        principal = scope.get("state", {}).get(STATE)
        if principal is None or request.method in _READS:
            return
        if handler.opt.get("scope", "calls") == "calls":
            return
        try:
            database: Database = scope["litestar_app"].state.database
            async with database.transaction() as db:
                db.add(
                    AuditEntry(
                        id=new_id(),
                        organization_id=principal.organization_id,
                        api_key_id=principal.key_id,
                        operation=str(getattr(handler, "operation_id", ""))[:50],
                        method=request.method,
                        path=request.url.path[:300],
                        status=status,
                        at=await read_clock(db),
                        size=size,
                    )
                )
        except SQLAlchemyError as exc:  # the change is made and answered; only its note is lost
            log.exception("an entry of the audit log was lost", error=exc)


async def entries(
    db: AsyncSession, organization_id: str, *, before: str | None, limit: int
) -> list[AuditEntry]:
    """Return entries of the organization, newest first, older than the entry `before`."""
    query = select(AuditEntry).where(AuditEntry.organization_id == organization_id)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return list(await db.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)))
