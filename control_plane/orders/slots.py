"""Concurrency keys: how many orders of one key may be live, and who is next."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import literal_column, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.compliance.repository import live_calls
from control_plane.db.engine import wake
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.gate import Rule

PARKED = (
    # As literals, or PostgreSQL's plan for any value could not use their index.
    CallOrder.waiting_rule == literal_column(f"'{Rule.CONCURRENCY}'"),
    CallOrder.due_at.is_(None),
    CallOrder.status == OrderStatus.QUEUED_FOR_CALLING,
)
"""What is true of an order that waits for a slot and for nothing else."""


async def lock_keys(db: AsyncSession, orders: Sequence[CallOrder]) -> None:
    """Keep other processes from filling the slots of these orders' keys until the commit.

    SQLite has one writer anyway.
    """
    if db.get_bind().dialect.name != "postgresql":
        return
    keys = {(o.organization_id, o.concurrency_key) for o in orders if o.concurrency_key is not None}
    for number in sorted(_number(owner, key or "") for owner, key in keys):
        await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": number})


async def call_next(db: AsyncSession, order: CallOrder, now: datetime) -> None:
    """Let the oldest order that waits for a slot of `order`'s key be looked at.

    Each order is judged by its own maximum, so one with a small one does not stand in the way.
    """
    if order.concurrency_key is None:
        return
    await lock_keys(db, [order])  # or one that is just being put to wait would miss this
    live = await live_calls(db, order.organization_id, order.concurrency_key)
    waiting = await db.scalar(
        select(CallOrder)
        .where(
            CallOrder.organization_id == order.organization_id,
            CallOrder.concurrency_key == order.concurrency_key,
            *PARKED,
            CallOrder.concurrency_max > live,
        )
        .order_by(CallOrder.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if waiting is not None:
        waiting.due_at = now
        wake(db)


async def first_of_each_key(db: AsyncSession, *, limit: int) -> list[CallOrder]:
    """Return the oldest order that waits for a slot, of each key; a probe of the index each."""
    found: list[CallOrder] = []
    last = "", ""
    key = tuple_(CallOrder.organization_id, CallOrder.concurrency_key)
    while len(found) < limit:
        order = await db.scalar(
            select(CallOrder)
            .where(key > last, *PARKED)
            .order_by(CallOrder.organization_id, CallOrder.concurrency_key, CallOrder.id)
            .limit(1)
        )
        if order is None:
            break
        found.append(order)
        last = order.organization_id, order.concurrency_key or ""
    return found


def _number(organization_id: str, key: str) -> int:
    digest = hashlib.sha256(f"{organization_id}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
