"""Orders that a rule holds without an instant: looked at again once what held them is gone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.call_order import CallOrder


async def release(db: AsyncSession, *held: ColumnElement[bool], now: datetime, limit: int) -> int:
    """Let the gate look again at up to `limit` orders of which `held` is true.

    Returns:
        How many there were; the caller commits.
    """
    some = select(CallOrder.id).where(*held).order_by(CallOrder.id).limit(limit)
    released = await db.scalars(
        update(CallOrder)
        .where(*held, CallOrder.id.in_(some))
        .values(due_at=now)
        .returning(CallOrder.id)
        .execution_options(synchronize_session=False)
    )
    count = len(released.all())
    if count:
        wake(db)
    return count
