"""Deliveries: what was sent where, how it went, and once more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.params import FromPath, QueryParameter
from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database, wake
from control_plane.db.models.webhook import Delivery
from control_plane.domain.delivery import DeliveryState
from control_plane.domain.errors import BadInput, Conflict, NotFound
from control_plane.domain.ids import parse_id
from control_plane.domain.masks import SealedUrl
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.http.filters import one_of
from control_plane.http.pages import Cursor, Limit
from control_plane.webhooks import queue, repository
from control_plane.webhooks.controller import refuse_disabled
from control_plane.webhooks.schemas import DeliveryDetail, DeliveryPage, DeliveryView, Replayed
from control_plane.webhooks.views import delivery_view, try_view

States = Annotated[list[str] | None, QueryParameter(description="Any of these")]
Call = Annotated[str | None, QueryParameter(description="The id of a call")]


class DeliveryController(Controller):
    """Messages to receivers."""

    path = "/"
    tags = ("webhooks",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @get("/delivery", operation_id="listDeliveries", summary="List deliveries")
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        status: States = None,
        call_id: Call = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> DeliveryPage:
        """Return deliveries, newest first."""
        return await _page(database, vault, principal, None, status, call_id, cursor, limit)

    @get(
        "/webhook/{webhook_id:str}/deliveries",
        operation_id="listWebhookDeliveries",
        summary="List a webhook's deliveries",
    )
    async def of_endpoint(
        self,
        webhook_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        status: States = None,
        call_id: Call = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> DeliveryPage:
        """Return the deliveries to one endpoint, newest first."""
        key = parse_id(webhook_id, what="webhook")
        async with database.reading() as db:
            await repository.get_endpoint(db, principal.organization_id, key)
        return await _page(database, vault, principal, key, status, call_id, cursor, limit)

    @get("/delivery/{delivery_id:str}", operation_id="getDelivery", summary="Get a delivery")
    async def get_one(
        self,
        delivery_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> DeliveryDetail:
        """Return a delivery with what it sends and how each try went."""
        key = parse_id(delivery_id, what="delivery")
        async with database.reading() as db:
            row = await repository.get_delivery(db, principal.organization_id, key)
            tries = await repository.tries_of(db, key)
        return DeliveryDetail(
            delivery=delivery_view(vault, row),
            payload=row.payload,
            tries=[try_view(each) for each in tries],
        )

    @post(
        "/delivery/{delivery_id:str}/replay",
        operation_id="replayDelivery",
        summary="Send a message again",
        status_code=202,
    )
    async def replay(
        self,
        delivery_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> DeliveryView:
        """Send the same message, with the same id, as if for the first time."""
        key, owner = parse_id(delivery_id, what="delivery"), principal.organization_id
        async with database.transaction() as db:
            row = await repository.get_delivery(db, owner, key)
            url = await _present_url(db, owner, row)
            await queue.replay(db, Delivery.id == key, url=url, now=datetime.now(UTC))
            wake(db)
            await db.refresh(row)
        return delivery_view(vault, row)

    @post(
        "/webhook/{webhook_id:str}/replay",
        operation_id="replayWebhook",
        summary="Send again what failed",
        status_code=202,
    )
    async def replay_since(
        self,
        webhook_id: FromPath[str],
        since: Annotated[datetime, QueryParameter(description="Only messages made since then")],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> Replayed:
        """Send every message again that an endpoint did not take, in their order."""
        if since.tzinfo is None:
            raise BadInput("since needs a time zone: 2026-01-31T12:00:00Z", field="since")
        key, now = parse_id(webhook_id, what="webhook"), datetime.now(UTC)
        async with database.transaction() as db:
            row = await repository.get_endpoint(db, principal.organization_id, key)
            refuse_disabled(row)
            failed = and_(
                Delivery.endpoint_id == key,
                Delivery.state.in_(repository.FAILED),
                Delivery.created_at >= since,
            )
            count = await queue.replay(db, failed, url=row.url, now=now)
            wake(db)
        return Replayed(count)


async def _present_url(db: AsyncSession, owner: str, row: Delivery) -> SealedUrl | None:
    """Return where a replay goes: where its endpoint is now."""
    if row.endpoint_id is None:
        return None
    try:
        endpoint = await repository.get_endpoint(db, owner, row.endpoint_id)
    except NotFound as exc:
        raise Conflict("the webhook was deleted: its messages go nowhere now") from exc
    refuse_disabled(endpoint)
    return endpoint.url


async def _page(
    database: Database,
    vault: Vault,
    principal: Principal,
    endpoint_id: str | None,
    status: list[str] | None,
    call_id: str | None,
    cursor: str | None,
    limit: int,
) -> DeliveryPage:
    query = repository.page_of_deliveries(
        principal.organization_id,
        endpoint_id=endpoint_id,
        call_id=parse_id(call_id, what="call", field="call_id") if call_id else None,
        states=[one_of(DeliveryState, word, "status") for word in status or []],
        before=parse_id(cursor, what="delivery", field="cursor") if cursor else None,
        limit=limit + 1,
    )
    async with database.reading() as db:
        rows = (await db.scalars(query)).all()
    views = [delivery_view(vault, row) for row in rows[:limit]]
    return DeliveryPage(views, views[-1].id if len(rows) > limit else None)
