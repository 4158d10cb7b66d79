"""Queries on orders and attempts: claiming, looking up, listing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.domain.attempt import RecordingState
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import NotFound

CLAIM = timedelta(seconds=30)
"""How long a claimed order stays out of sight if its claimer dies before it writes more."""


async def claim_due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[CallOrder]:
    """Return orders that are due, which no other scheduler will get; oldest due time first."""
    due = (
        select(CallOrder.id)
        .where(CallOrder.due_at.is_not(None), CallOrder.due_at <= now)
        .order_by(CallOrder.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = await session.scalars(
        update(CallOrder)
        .where(CallOrder.id.in_(due))
        .values(due_at=now + CLAIM, epoch=CallOrder.epoch + 1)
        .returning(CallOrder)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(claimed, key=lambda order: order.id)


async def next_due(session: AsyncSession) -> datetime | None:
    """Return the earliest instant at which an order wants to be looked at."""
    return await session.scalar(
        select(func.min(CallOrder.due_at)).where(CallOrder.due_at.is_not(None))
    )


async def get_order(session: AsyncSession, organization_id: str, order_id: str) -> CallOrder:
    """Return the order.

    Raises:
        NotFound: this organization has no such order.
    """
    order = await session.scalar(
        select(CallOrder).where(
            CallOrder.id == order_id, CallOrder.organization_id == organization_id
        )
    )
    if order is None:
        raise NotFound(f"there is no call with the id {order_id}", field="id")
    return order


def page_of_orders(
    organization_id: str,
    *,
    statuses: Collection[OrderStatus] = (),
    number: str | None = None,
    direction: Direction | None = None,
    before: str | None = None,
    limit: int,
) -> Select[CallOrder]:
    """Return the query for a page of orders, newest first, older than the order `before`."""
    query = select(CallOrder).where(CallOrder.organization_id == organization_id)
    if statuses:
        query = query.where(CallOrder.status.in_(statuses))
    if number is not None:
        query = query.where(
            or_(CallOrder.to_phone_number == number, CallOrder.from_phone_number == number)
        )
    if direction is not None:
        query = query.where(CallOrder.direction == direction)
    if before is not None:
        query = query.where(CallOrder.id < before)
    return query.order_by(CallOrder.id.desc()).limit(limit)


async def attempts_of(
    session: AsyncSession, order_ids: Collection[str]
) -> dict[str, list[Attempt]]:
    """Return the attempts of each order, most recent first."""
    found: dict[str, list[Attempt]] = {order_id: [] for order_id in order_ids}
    rows = await session.scalars(
        select(Attempt)
        .where(Attempt.order_id.in_(order_ids))
        .order_by(Attempt.order_id, Attempt.ordinal.desc())
    )
    for attempt in rows:
        found[attempt.order_id].append(attempt)
    return found


async def transcripts_of(
    session: AsyncSession, order_ids: Collection[str]
) -> dict[str, list[CallEventRow]]:
    """Return the transcript items of each attempt, in the order they were said."""
    rows = await session.scalars(
        select(CallEventRow)
        .where(CallEventRow.order_id.in_(order_ids), CallEventRow.type == "item_said")
        .order_by(CallEventRow.order_id, CallEventRow.sequence)
    )
    found: dict[str, list[CallEventRow]] = {}
    for row in rows:
        found.setdefault(row.attempt_id or "", []).append(row)
    return found


async def events_of(
    session: AsyncSession, order_id: str, *, after: int, limit: int
) -> Sequence[CallEventRow]:
    """Return the order's history after the sequence `after`, oldest first."""
    rows = await session.scalars(
        select(CallEventRow)
        .where(CallEventRow.order_id == order_id, CallEventRow.sequence > after)
        .order_by(CallEventRow.sequence)
        .limit(limit)
    )
    return rows.all()


async def count_attempts(session: AsyncSession, order_id: str) -> int:
    """Return how many attempts the order has had, uncounted ones included."""
    return (
        await session.execute(
            select(func.count()).select_from(Attempt).where(Attempt.order_id == order_id)
        )
    ).scalar_one()


async def open_attempts(session: AsyncSession) -> Sequence[tuple[Attempt, CallOrder]]:
    """Return every attempt that is not closed, with its order."""
    rows = await session.execute(
        select(Attempt, CallOrder)
        .join(CallOrder, CallOrder.id == Attempt.order_id)
        .where(Attempt.room_deleted_at.is_(None), Attempt.closed_at.is_(None))
    )
    return [(attempt, order) for attempt, order in rows]


async def rooms_to_delete(session: AsyncSession) -> Sequence[Attempt]:
    """Return closed attempts whose room has not been deleted yet."""
    rows = await session.scalars(
        select(Attempt).where(Attempt.room_deleted_at.is_(None), Attempt.closed_at.is_not(None))
    )
    return rows.all()


async def spooled_recordings(session: AsyncSession) -> Sequence[Attempt]:
    """Return closed attempts whose recording has not been put away yet."""
    rows = await session.scalars(
        select(Attempt).where(
            Attempt.recording_state == RecordingState.SPOOLING, Attempt.ended_at.is_not(None)
        )
    )
    return rows.all()
