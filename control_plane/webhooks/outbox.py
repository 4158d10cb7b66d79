"""From the outbox to deliveries: one for each receiver that an event is meant for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import httpx
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.db.crypto import Vault
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.campaign import Campaign
from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery, WebhookEndpoint
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.delivery import DeliveryState, is_wanted
from control_plane.domain.ids import new_id
from control_plane.orders.views import CallViews
from control_plane.webhooks import held
from control_plane.webhooks.payloads import call_payload, event_payload
from control_plane.webhooks.signing import default_signer

_ONE_RELAY = 7_236_115
_FINAL = frozenset(status.value for status in OrderStatus if is_final(status))


async def is_waiting(session: AsyncSession) -> bool:
    """Return whether an event waits to be relayed."""
    return await session.scalar(select(_waiting().exists())) is True


async def relay(
    session: AsyncSession, vault: Vault, views: CallViews, *, now: datetime, limit: int
) -> int:
    """Turn the oldest events into deliveries that are due, and return how many events.

    Only one relay works at a time, or an event could get ahead of an earlier one of its order.
    """
    if session.get_bind().dialect.name == "postgresql":
        lock = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=_ONE_RELAY)
        if await session.scalar(lock) is not True:
            return 0
    rows = (await session.scalars(_waiting().order_by(OutboxRow.id).limit(limit))).all()
    if not rows:
        return 0
    made = await _to_endpoints(session, rows, now=now)
    made += await _to_assistants(session, vault, views, rows, now=now)
    if made:
        await session.execute(insert(Delivery), made)
    await session.execute(
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
        "order_id": None,
        "sequence": None,
        "state": DeliveryState.PENDING,
        "next_at": now,
        "payload": payload,
        "created_at": now,
    }


async def metadata_of(
    session: AsyncSession, rows: Collection[OutboxRow]
) -> dict[str, dict[str, str]]:
    """Return, by the event's id, the metadata of the order or the campaign it tells of."""
    order_ids = {row.order_id for row in rows if row.order_id is not None}
    orders = await session.execute(
        select(CallOrder.id, CallOrder.call_metadata).where(CallOrder.id.in_(order_ids))
    )
    of_order = {order.id: order.call_metadata for order in orders}
    of_campaign: dict[str, dict[str, str]] = {}
    campaign_ids = {row.data["campaign_id"] for row in rows if row.order_id is None}
    if campaign_ids:
        campaigns = await session.execute(
            select(Campaign.id, Campaign.campaign_metadata).where(Campaign.id.in_(campaign_ids))
        )
        of_campaign = {campaign.id: campaign.campaign_metadata for campaign in campaigns}
    return {
        row.id: of_campaign[row.data["campaign_id"]]
        if row.order_id is None
        else of_order[row.order_id]
        for row in rows
    }


def _waiting() -> Any:
    return select(OutboxRow).where(OutboxRow.done_at.is_(None))


async def _to_endpoints(
    session: AsyncSession, rows: Sequence[OutboxRow], *, now: datetime
) -> list[dict[str, Any]]:
    endpoints = (
        await session.scalars(
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
    metadata = await metadata_of(session, [row for row, _ in pairs])
    payloads = {row.id: event_payload(row, metadata[row.id]) for row, _ in pairs}
    return [
        new_delivery(endpoint, row.id, row.type, payloads[row.id], now=now)
        | {"order_id": row.order_id, "sequence": row.sequence}
        for row, endpoint in pairs
    ]


def _is_for(row: OutboxRow, endpoint: WebhookEndpoint) -> bool:
    return row.organization_id == endpoint.organization_id and is_wanted(
        row.type, endpoint.event_types
    )


async def _to_assistants(
    session: AsyncSession,
    vault: Vault,
    views: CallViews,
    rows: Sequence[OutboxRow],
    *,
    now: datetime,
) -> list[dict[str, Any]]:
    """Return what the assistants' own URLs get: each finished call, once, with its recording."""
    ended = {
        row.order_id: row
        for row in rows
        if row.order_id is not None and row.data.get("status") in _FINAL
    }
    if not ended:
        return []
    orders = (await session.scalars(select(CallOrder).where(CallOrder.id.in_(ended)))).all()
    urls = await _receiving(session, orders)
    told = set(
        await session.scalars(
            select(Delivery.order_id).where(
                Delivery.order_id.in_(urls), Delivery.endpoint_id.is_(None)
            )
        )
    )
    wanted = [order for order in orders if order.id in urls and order.id not in told]
    await _hold(session, [order.id for order in wanted])
    made = []
    for order, view in zip(wanted, await views.load(session, wanted), strict=True):
        await default_signer(session, vault, order.organization_id, now=now)
        row, url = ended[order.id], urls[order.id]
        made.append(
            {
                "id": new_id(),
                # Not the event's id: an endpoint at the same URL gets that, with another body.
                "message_id": f"call_{order.id}",
                "organization_id": order.organization_id,
                "endpoint_id": None,
                "url": url,
                "receiver": receiver_of_url(order.organization_id, url),
                "event_type": row.type,
                "order_id": order.id,
                "sequence": row.sequence,
                "state": DeliveryState.PENDING,
                "next_at": held.due_at(view, now=now),
                "payload": call_payload(view),
                "created_at": now,
            }
        )
    return made


async def _hold(session: AsyncSession, order_ids: Collection[str]) -> None:
    """Keep everybody from changing these orders' recordings until the messages are stored."""
    if order_ids:
        await session.execute(
            select(CallOrder.id)
            .where(CallOrder.id.in_(order_ids))
            .order_by(CallOrder.id)
            .with_for_update()
        )


async def _receiving(session: AsyncSession, orders: Sequence[CallOrder]) -> dict[str, str]:
    """Return the URL of each order whose assistant has one."""
    found = {}
    for order in orders:
        version = await versions.get(session, order.assistant_version_id)
        if version.spec.webhook_url:
            found[order.id] = version.spec.webhook_url
    return found


def receiver_of_url(organization_id: str, url: str) -> str:
    """Return the name under which an assistant's URL shares a limit with others of its host."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return f"{organization_id} ?"
    return f"{organization_id} {parsed.scheme}://{parsed.raw_host.decode()[:253]}:{parsed.port}"
