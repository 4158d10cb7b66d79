"""Queries on endpoints and deliveries, each within one organization."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery, DeliveryTry, WebhookEndpoint
from control_plane.db.owned import get_own
from control_plane.domain.delivery import DeliveryState

FAILED = (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED)
"""States that a replay since an instant takes up again."""


async def get_endpoint(db: AsyncSession, owner: str, endpoint_id: str) -> WebhookEndpoint:
    """Return the endpoint.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(db, WebhookEndpoint, owner, endpoint_id, what="webhook")


async def list_endpoints(db: AsyncSession, owner: str) -> Sequence[WebhookEndpoint]:
    """Return the organization's endpoints, newest first."""
    return (await db.scalars(_endpoints(owner).order_by(WebhookEndpoint.id.desc()))).all()


async def count_endpoints(db: AsyncSession, owner: str) -> int:
    """Return how many endpoints the organization has."""
    counted = select(func.count()).select_from(_endpoints(owner).subquery())
    return (await db.execute(counted)).scalar_one()


async def move_waiting(db: AsyncSession, endpoint: WebhookEndpoint) -> None:
    """Send what waits for the endpoint to its present URL."""
    await db.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint.id, Delivery.next_at.is_not(None))
        .values(url=endpoint.url)
        .execution_options(synchronize_session=False)
    )


async def get_delivery(db: AsyncSession, owner: str, delivery_id: str) -> Delivery:
    """Return the delivery.

    Raises:
        NotFound: this organization has none with that id.
    """
    return await get_own(db, Delivery, owner, delivery_id, what="delivery")


async def tries_of(db: AsyncSession, delivery_id: str) -> Sequence[DeliveryTry]:
    """Return the tries, oldest first."""
    rows = await db.scalars(
        select(DeliveryTry)
        .where(DeliveryTry.delivery_id == delivery_id)
        .order_by(DeliveryTry.number)
    )
    return rows.all()


def page_of_deliveries(
    owner: str,
    *,
    endpoint_id: str | None,
    call_id: str | None,
    states: Sequence[DeliveryState],
    before: str | None,
    limit: int,
) -> Select[Delivery]:
    """Return the query for a page of deliveries, newest first, older than `before`."""
    query = select(Delivery).where(Delivery.organization_id == owner)
    if endpoint_id is not None:
        query = query.where(Delivery.endpoint_id == endpoint_id)
    if call_id is not None:
        query = query.where(Delivery.call_id == call_id)
    if states:
        query = query.where(Delivery.state.in_(states))
    if before is not None:
        query = query.where(Delivery.id < before)
    return query.order_by(Delivery.id.desc()).limit(limit)


async def events_after(
    db: AsyncSession, owner: str, after: str | None, *, types: Sequence[str], limit: int
) -> Sequence[OutboxRow]:
    """Return the organization's events of some types after one of them, oldest first."""
    query = select(OutboxRow).where(OutboxRow.organization_id == owner)
    if types:
        groups = [OutboxRow.type.startswith(t[:-1]) for t in types if t.endswith(".*")]
        query = query.where(or_(OutboxRow.type.in_(types), *groups))
    if after is not None:
        query = query.where(OutboxRow.id > after)
    return (await db.scalars(query.order_by(OutboxRow.id).limit(limit))).all()


async def newest_event(db: AsyncSession, owner: str) -> str | None:
    """Return the id of the organization's newest event."""
    return await db.scalar(select(func.max(OutboxRow.id)).where(OutboxRow.organization_id == owner))


def _endpoints(owner: str) -> Select[WebhookEndpoint]:
    return select(WebhookEndpoint).where(
        WebhookEndpoint.organization_id == owner, WebhookEndpoint.deleted_at.is_(None)
    )
