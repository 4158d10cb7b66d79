"""Webhooks: endpoints, their secrets, and the events they are told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import UNSET
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.crypto import Vault
from control_plane.db.engine import wake
from control_plane.db.models.webhook import Delivery, WebhookEndpoint
from control_plane.db.sealed import Sealer, masked, seal, unseal
from control_plane.domain.credentials import check_no_credential, refuse_masked_url
from control_plane.domain.delivery import (
    EVENT_GROUPS,
    EVENTS,
    GRACE,
    TEST_EVENT,
    is_event_type,
)
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.masks import looks_masked_url
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenStreams, GivenVault
from control_plane.http.pages import Limit
from control_plane.http.streams import EVENT_STREAM
from control_plane.webhooks import queue, repository
from control_plane.webhooks.dependencies import GivenFeed
from control_plane.webhooks.feed import page, stream
from control_plane.webhooks.outbox import new_delivery
from control_plane.webhooks.payloads import test_payload
from control_plane.webhooks.schemas import (
    DeliveryView,
    EndpointCreate,
    EndpointList,
    EndpointPatch,
    EndpointView,
    EventFeed,
    SigningSecret,
)
from control_plane.webhooks.signing import default_signer, new_secret, rotate
from control_plane.webhooks.views import delivery_view, endpoint_view
from process.addresses import AddressRefused, Allowed, check_url

MOST_ENDPOINTS = 100
GivenAllowed = NamedDependency[Allowed]
Grace = Annotated[
    int,
    QueryParameter(ge=0, le=7 * 86_400, description="Seconds that the old secret signs as well"),
]
_DAY = int(GRACE.total_seconds())


class WebhookController(Controller):
    """Receivers of events."""

    path = "/webhook"
    tags = ("webhooks",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(operation_id="createWebhook", summary="Create a webhook", status_code=201)
    async def create(
        self,
        data: JSONBody[EndpointCreate],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        allowed: GivenAllowed,
    ) -> EndpointView:
        """Create an endpoint; this answer alone shows its whole secret."""
        refuse_masked_url(data.url, field="url")
        _check_url(data.url, allowed)
        _check_types(data.event_types, field="event_types")
        now, owner, clear = datetime.now(UTC), principal.organization_id, new_secret()
        url, sealer = vault.seal_url(data.url), Sealer(vault, clear)
        async with database.transaction() as db:
            if await repository.count_endpoints(db, owner) >= MOST_ENDPOINTS:
                raise Conflict(f"there are {MOST_ENDPOINTS} webhooks already: delete one first")
            secret = await seal(db, sealer, owner, clear, now=now)
            row = WebhookEndpoint(
                id=new_id(),
                organization_id=owner,
                url=url,
                description=data.description,
                event_types=data.event_types,
                secret_id=secret.id,
                created_at=now,
                updated_at=now,
            )
            db.add(row)
        return endpoint_view(vault, row, clear)

    @get(operation_id="listWebhooks", summary="List webhooks")
    async def list_all(
        self, principal: GivenPrincipal, database: GivenDatabase, vault: GivenVault
    ) -> EndpointList:
        """List every endpoint, newest first."""
        async with database.reading() as db:
            rows = await repository.list_endpoints(db, principal.organization_id)
            return EndpointList([await _shown(db, vault, row) for row in rows])

    @get("/{webhook_id:str}", operation_id="getWebhook", summary="Get a webhook")
    async def get_one(
        self,
        webhook_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> EndpointView:
        """Return one endpoint, its secret masked."""
        async with database.reading() as db:
            return await _shown(db, vault, await _endpoint(db, principal, webhook_id))

    @patch("/{webhook_id:str}", operation_id="updateWebhook", summary="Change a webhook")
    async def change(
        self,
        webhook_id: FromPath[str],
        data: JSONBody[EndpointPatch],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        allowed: GivenAllowed,
    ) -> EndpointView:
        """Change what is given; what waits goes to the new URL."""
        url = None
        if data.url is not UNSET and not looks_masked_url(data.url):
            _check_url(data.url, allowed)
            url = vault.seal_url(data.url)
        if data.event_types is not UNSET:
            _check_types(data.event_types, field="event_types")
        async with database.transaction() as db:
            row = await _endpoint(db, principal, webhook_id)
            for field in ("description", "event_types"):
                given = getattr(data, field)
                if given is not UNSET:
                    setattr(row, field, given)
            row.updated_at = datetime.now(UTC)
            if url is not None:
                row.url = url
                await repository.move_waiting(db, row)
            elif data.url not in (UNSET, row.url.shown):
                refuse_masked_url(str(data.url), field="url")
            return await _shown(db, vault, row)

    @delete("/{webhook_id:str}", operation_id="deleteWebhook", summary="Delete a webhook")
    async def remove(
        self, webhook_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> None:
        """Delete an endpoint; what waits for it is cancelled."""
        async with database.transaction() as db:
            row = await _endpoint(db, principal, webhook_id)
            row.deleted_at = datetime.now(UTC)
            await queue.cancel_waiting(db, row.id, now=row.deleted_at)

    @post(
        "/{webhook_id:str}/rotate",
        operation_id="rotateWebhookSecret",
        summary="Rotate a webhook's secret",
        status_code=200,
    )
    async def rotate_secret(
        self,
        webhook_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        grace_secs: Grace = _DAY,
    ) -> EndpointView:
        """Make a new secret, shown whole in this answer alone; both sign while the grace lasts."""
        async with database.transaction() as db:
            row = await _endpoint(db, principal, webhook_id)
            grace, now = timedelta(seconds=grace_secs), datetime.now(UTC)
            clear = await rotate(db, vault, row, grace=grace, now=now)
        return endpoint_view(vault, row, clear)

    @post(
        "/{webhook_id:str}/enable",
        operation_id="enableWebhook",
        summary="Enable a webhook",
        status_code=200,
    )
    async def enable(
        self,
        webhook_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> EndpointView:
        """Send events again to an endpoint that was disabled; `replay` sends what it missed."""
        async with database.transaction() as db:
            row = await _endpoint(db, principal, webhook_id)
            row.disabled_at = row.disabled_reason = None
            row.updated_at = datetime.now(UTC)
            return await _shown(db, vault, row)

    @post(
        "/{webhook_id:str}/test",
        operation_id="testWebhook",
        summary="Send a test message",
        status_code=202,
    )
    async def test(
        self,
        webhook_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> DeliveryView:
        """Send a `webhook.test` message as events are; `GET /delivery/{id}` tells how it went."""
        now, key = datetime.now(UTC), new_id()
        async with database.transaction() as db:
            row = await _endpoint(db, principal, webhook_id)
            refuse_disabled(row)
            made = new_delivery(row, key, TEST_EVENT, test_payload(key, at=now), now=now)
            await db.execute(insert(Delivery), [made])
            wake(db)
            return delivery_view(vault, await db.get_one(Delivery, made["id"]))

    @get(
        "/secret",
        operation_id="getWebhookSecret",
        summary="Get the default signing secret",
    )
    async def default_secret(
        self, principal: GivenPrincipal, database: GivenDatabase, vault: GivenVault
    ) -> SigningSecret:
        """Return the secret that signs what goes to the `webhook_url` of assistants."""
        async with database.transaction() as db:
            now = datetime.now(UTC)
            row = await default_signer(db, vault, principal.organization_id, now=now)
            clear = await unseal(db, vault, row.secret_id)
        return SigningSecret(secret=clear, previous_secret_until=row.previous_until)

    @post(
        "/secret/rotate",
        operation_id="rotateDefaultWebhookSecret",
        summary="Rotate the default signing secret",
        status_code=200,
    )
    async def rotate_default(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        grace_secs: Grace = _DAY,
    ) -> SigningSecret:
        """Make a new default secret; both sign while the grace lasts."""
        async with database.transaction() as db:
            grace, now = timedelta(seconds=grace_secs), datetime.now(UTC)
            row = await default_signer(db, vault, principal.organization_id, now=now)
            clear = await rotate(db, vault, row, grace=grace, now=now)
        return SigningSecret(secret=clear, previous_secret_until=row.previous_until)

    @get(
        "/events",
        operation_id="listWebhookEvents",
        summary="Follow every event",
        description="The organization's events as endpoints get them: as JSON, oldest first, or "
        "as server-sent events from now on when the request accepts text/event-stream.",
    )
    async def events(
        self,
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        streams: GivenStreams,
        feed: GivenFeed,
        after: Annotated[str | None, QueryParameter(description="Only after this one")] = None,
        types: Annotated[list[str] | None, QueryParameter(description="Only of these")] = None,
        limit: Limit = 50,
    ) -> Response[EventFeed] | Stream:
        """Return events that were, or every one as it happens."""
        wanted = types or []
        _check_types(wanted)
        last = after or request.headers.get("last-event-id") or None
        key = parse_id(last, what="event", field="after") if last is not None else None
        owner = principal.organization_id
        if EVENT_STREAM in request.headers.get("accept", ""):
            chunks = stream(database, feed, owner, after=key, types=wanted)
            return Stream(
                streams.begin(principal, chunks),
                media_type=EVENT_STREAM,
                headers={"Cache-Control": "no-store"},
            )
        async with database.reading() as db:
            found = await page(db, owner, key, types=wanted, limit=limit)
        return Response(EventFeed(events=found, next_after=found[-1].id if found else None))


def refuse_disabled(row: WebhookEndpoint) -> None:
    """Raise Conflict for an endpoint to which nothing is sent."""
    if row.disabled_at is not None:
        raise Conflict(f"the webhook is disabled: POST /webhook/{row.id}/enable first")


async def _endpoint(db: AsyncSession, principal: Principal, webhook_id: str) -> WebhookEndpoint:
    key = parse_id(webhook_id, what="webhook")
    return await repository.get_endpoint(db, principal.organization_id, key)


async def _shown(db: AsyncSession, vault: Vault, row: WebhookEndpoint) -> EndpointView:
    return endpoint_view(vault, row, await masked(db, row.secret_id) or "")


def _check_url(url: str, allowed: Allowed) -> None:
    try:
        check_url(url, allowed)
    except AddressRefused as exc:
        raise BadInput(f"url: {exc}", field="url") from exc
    check_no_credential(url, field="url")


def _check_types(types: list[str], *, field: str = "types") -> None:
    for text in types:
        if not is_event_type(text):
            groups = ", ".join(f"{group}.*" for group in EVENT_GROUPS)
            raise BadInput(
                f"{text!r} is not an event; there are {', '.join(EVENTS)} and {groups}",
                field=field,
            )
