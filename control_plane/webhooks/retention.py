"""Old messages leave: what was sent, how it went, and the events that they were made of.

A call's own history is not touched: it tells what happened for as long as the call is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery, DeliveryTry
from control_plane.domain.ids import first_id_at


async def delete_before(db: AsyncSession, cutoff: datetime, *, limit: int) -> int:
    """Delete at most `limit` deliveries and events each that were over before `cutoff`.

    Returns how many of both; a delivery that is still to be tried stays, however old.
    """
    oldest = first_id_at(cutoff)  # ids rise with time, so this reads one end of the primary key
    done = (
        select(Delivery.id)
        .where(Delivery.id < oldest, Delivery.next_at.is_(None))
        .order_by(Delivery.id)
        .limit(limit)
    )
    deliveries = list(await db.scalars(done))
    await _delete(db, delete(DeliveryTry).where(DeliveryTry.delivery_id.in_(deliveries)))
    await _delete(db, delete(Delivery).where(Delivery.id.in_(deliveries)))
    relayed = (
        select(OutboxRow.id)
        .where(OutboxRow.id < oldest, OutboxRow.done_at.is_not(None))
        .order_by(OutboxRow.id)
        .limit(limit)
    )
    events = list(await db.scalars(relayed))
    await _delete(db, delete(OutboxRow).where(OutboxRow.id.in_(events)))
    return len(deliveries) + len(events)


async def _delete(db: AsyncSession, statement: Any) -> None:
    await db.execute(statement.execution_options(synchronize_session=False))
