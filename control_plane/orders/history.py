"""Append-only history of an order, and the outbox rows that tell others of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow, OutboxRow
from control_plane.domain.ids import new_id


def record(
    session: AsyncSession,
    order: CallOrder,
    attempt: Attempt | None,
    kind: str,
    *,
    at: datetime,
    stored_at: datetime,
    **facts: Any,
) -> int:
    """Add a happening to the order's history, wake who reads it, and return its sequence."""
    order.event_count += 1
    order.updated_at = max(order.updated_at, stored_at)
    session.add(
        CallEventRow(
            id=new_id(),
            order_id=order.id,
            attempt_id=attempt.id if attempt is not None else None,
            sequence=order.event_count,
            type=kind,
            at=at,
            stored_at=stored_at,
            data=facts,
        )
    )
    wake(session)
    return order.event_count


def announce(
    session: AsyncSession,
    order: CallOrder,
    attempt: Attempt | None,
    kind: str,
    *,
    at: datetime,
    **facts: Any,
) -> None:
    """Record a happening and leave it in the outbox, in the same transaction."""
    sequence = record(session, order, attempt, kind, at=at, stored_at=at, **facts)
    session.add(
        OutboxRow(
            id=new_id(),
            organization_id=order.organization_id,
            order_id=order.id,
            sequence=sequence,
            type=kind,
            data={"attempt_id": attempt.id if attempt is not None else None, **facts},
            created_at=at,
        )
    )
