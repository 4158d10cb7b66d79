"""From the outbox to deliveries: one for each receiver that an event is meant for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import httpx
import msgspec
from msgspec import Struct
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.crypto import Vault
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.history import OutboxRow
from control_plane.db.models.session import Session
from control_plane.db.models.webhook import Delivery, WebhookEndpoint
from control_plane.domain.browser import OVER
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.delivery import SESSION_EVENTS, DeliveryState, is_wanted
from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl
from control_plane.domain.order_request import EventReceiver
from control_plane.orders import repository
from control_plane.orders.views import CallViews
from control_plane.sessions.calls import Owner
from control_plane.webhooks import held
from control_plane.webhooks.payloads import event_payload, message_id_of, owner_payload
from control_plane.webhooks.signing import default_signer

_ONE_RELAY = 7_236_115
_FINAL = frozenset(status.value for status in OrderStatus if is_final(status)) | OVER


async def is_waiting(db: AsyncSession) -> bool:
    """Return whether an event waits to be relayed."""
    return await db.scalar(select(_waiting().exists())) is True


async def relay(
    db: AsyncSession, vault: Vault, views: CallViews, *, now: datetime, limit: int
) -> int:
    """Turn the oldest events into deliveries that are due, and return how many events.

    Only one relay works at a time, or an event could get ahead of an earlier one of its call.
    """
    if db.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=_ONE_RELAY)
        if await db.scalar(lock) is not True:
            return 0
    rows = (await db.scalars(_waiting().order_by(OutboxRow.id).limit(limit))).all()
    if not rows:
        return 0
    made = await _to_endpoints(db, rows, now=now)
    made += await _to_askers(db, vault, rows, now=now)
    made += await _to_assistants(db, vault, views, rows, now=now)
    if made:
        await db.execute(insert(Delivery), made)
    await db.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_([row.id for row in rows]))
        .values(done_at=now)
        .execution_options(synchronize_session=False)
    )
    return len(rows)


def new_delivery(
    endpoint: WebhookEndpoint, message_id: str, kind: str, payload: str, *, now: datetime
) -> dict[str, Any]:
    """Return the values of a delivery to `endpoint`, due at once."""
    return {
        "id": new_id(),
        "message_id": message_id,
        "organization_id": endpoint.organization_id,
        "endpoint_id": endpoint.id,
        "url": endpoint.url,
        "receiver": endpoint.id,
        "event_type": kind,
        "call_id": None,
        "sequence": None,
        "state": DeliveryState.PENDING,
        "next_at": now,
        "payload": payload,
        "created_at": now,
    }


async def metadata_of(db: AsyncSession, rows: Collection[OutboxRow]) -> dict[str, dict[str, str]]:
    """Return, by the event's id, the metadata of the call or the campaign it tells of."""
    owners = await repository.owners_of(
        db, {row.call_id for row in rows if row.call_id is not None}
    )
    of_campaign: dict[str, dict[str, str]] = {}
    campaign_ids = {row.data["campaign_id"] for row in rows if row.call_id is None}
    if campaign_ids:
        campaigns = await db.execute(
            select(Campaign.id, Campaign.campaign_metadata).where(Campaign.id.in_(campaign_ids))
        )
        of_campaign = {campaign.id: campaign.campaign_metadata for campaign in campaigns}
    return {
        row.id: of_campaign[row.data["campaign_id"]]
        if row.call_id is None
        else owners[row.call_id].call_metadata
        for row in rows
    }


def _waiting() -> Any:
    return select(OutboxRow).where(OutboxRow.done_at.is_(None))


async def _to_endpoints(
    db: AsyncSession, rows: Sequence[OutboxRow], *, now: datetime
) -> list[dict[str, Any]]:
    endpoints = (
        await db.scalars(
            select(WebhookEndpoint).where(
                WebhookEndpoint.organization_id.in_({row.organization_id for row in rows}),
                WebhookEndpoint.disabled_at.is_(None),
                WebhookEndpoint.deleted_at.is_(None),
            )
        )
    ).all()
    pairs = [(row, endpoint) for row in rows for endpoint in endpoints if _is_for(row, endpoint)]
    if not pairs:
        return []
    metadata = await metadata_of(db, [row for row, _ in pairs])
    payloads = {row.id: event_payload(row, metadata[row.id]) for row, _ in pairs}
    return [
        new_delivery(endpoint, row.id, row.type, payloads[row.id], now=now)
        | {"call_id": row.call_id, "sequence": row.sequence}
        for row, endpoint in pairs
    ]


def _is_for(row: OutboxRow, endpoint: WebhookEndpoint) -> bool:
    """Return whether an endpoint is told; of what was over when it was registered, it is not."""
    return (
        row.organization_id == endpoint.organization_id
        and endpoint.created_at <= row.created_at
        and is_wanted(row.type, endpoint.event_types)
    )


class _Asker(Struct, frozen=True):
    """Who asked for a call or a session: where its events go, and what it said of it."""

    receiver: EventReceiver
    metadata: dict[str, str]


async def _to_askers(
    db: AsyncSession, vault: Vault, rows: Sequence[OutboxRow], *, now: datetime
) -> list[dict[str, Any]]:
    """Return what the URLs get that an order or a session names: the events that it asks for."""
    askers = await _askers(db, rows)
    made = []
    for row in rows:
        asker = askers.get(row.call_id or "")
        if asker is not None and row.type in asker.receiver.types:
            await default_signer(db, vault, row.organization_id, now=now)
            payload = event_payload(row, asker.metadata)
            made.append(_to_url(row, asker.receiver.url, row.id, payload, now=now))
    return made


async def _askers(db: AsyncSession, rows: Sequence[OutboxRow]) -> dict[str, _Asker]:
    """Return by the call's id who wants to be told of it."""
    found: dict[str, _Asker] = {}
    sessions = {row.call_id for row in rows if row.type in SESSION_EVENTS}
    calls = {row.call_id for row in rows if row.call_id is not None} - sessions
    if calls:
        orders = await db.execute(
            select(CallOrder.id, CallOrder.events_to, CallOrder.call_metadata).where(
                CallOrder.id.in_(calls), CallOrder.events_to.is_not(None)
            )
        )
        for key, told, metadata in orders:
            found[key] = _Asker(msgspec.convert(told, EventReceiver), metadata)
    if sessions:
        asked = await db.execute(
            select(Session.id, Session.webhook_url, Session.call_metadata).where(
                Session.id.in_(sessions), Session.webhook_url.is_not(None)
            )
        )
        for key, url, metadata in asked:
            found[key] = _Asker(EventReceiver(url, SESSION_EVENTS), metadata)
    return found


def _to_url(
    row: OutboxRow, url: SealedUrl, message_id: str, payload: str, *, now: datetime
) -> dict[str, Any]:
    """Return the values of a delivery to a URL that is no endpoint's, due at once."""
    return {
        "id": new_id(),
        "message_id": message_id,
        "organization_id": row.organization_id,
        "endpoint_id": None,
        "url": url,
        "receiver": receiver_of_url(row.organization_id, url),
        "event_type": row.type,
        "call_id": row.call_id,
        "sequence": row.sequence,
        "state": DeliveryState.PENDING,
        "next_at": now,
        "payload": payload,
        "created_at": now,
    }


async def _to_assistants(
    db: AsyncSession,
    vault: Vault,
    views: CallViews,
    rows: Sequence[OutboxRow],
    *,
    now: datetime,
) -> list[dict[str, Any]]:
    """Return what the assistants' own URLs get: each finished call, once, with its recording."""
    ended = {
        row.call_id: row
        for row in rows
        if row.call_id is not None and row.data.get("status") in _FINAL
    }
    if not ended:
        return []
    owners = await repository.owners_of(db, ended.keys())
    urls = await _receiving(db, vault, owners.values())
    told = set(
        await db.scalars(
            select(Delivery.call_id).where(
                Delivery.call_id.in_(urls),
                Delivery.endpoint_id.is_(None),
                Delivery.message_id.in_([message_id_of(each) for each in urls]),
            )
        )
    )
    wanted = [each for key, each in owners.items() if key in urls and key not in told]
    await _hold(db, [each.id for each in wanted])
    made = []
    for owner, view in zip(wanted, await views.load(db, wanted), strict=True):
        await default_signer(db, vault, owner.organization_id, now=now)
        row, url = ended[owner.id], urls[owner.id]
        message_id, payload = message_id_of(owner.id), owner_payload(owner, view)
        waits = {"next_at": held.due_at(view, now=now)}
        made.append(_to_url(row, url, message_id, payload, now=now) | waits)
    return made


async def _hold(db: AsyncSession, call_ids: Collection[str]) -> None:
    """Keep everybody from changing these calls' recordings until the messages are stored."""
    for kind in (CallOrder, Session):
        if call_ids:
            await db.execute(
                select(kind.id).where(kind.id.in_(call_ids)).order_by(kind.id).with_for_update()
            )


async def _receiving(
    db: AsyncSession, vault: Vault, owners: Iterable[Owner]
) -> dict[str, SealedUrl]:
    """Return the URL of each call whose assistant has one."""
    found = {}
    for owner in owners:
        url = (await versions.get(db, owner.assistant_version_id)).spec.webhook_url
        if url:
            found[owner.id] = SealedUrl.parse(url) or vault.seal_url(url)
    return found


def receiver_of_url(organization_id: str, url: SealedUrl) -> str:
    """Return the name under which an assistant's URL shares a limit with others of its host."""
    try:
        parsed = httpx.URL(url.shown)
    except httpx.InvalidURL:
        return f"{organization_id} ?"
    return f"{organization_id} {parsed.scheme}://{parsed.raw_host.decode()[:253]}:{parsed.port}"
