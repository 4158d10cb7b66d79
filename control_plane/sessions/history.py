"""Append-only history of a call, and the outbox rows that tell others of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import wake
from control_plane.db.models.history import CallEventRow, OutboxRow
from control_plane.domain.ids import new_id
from control_plane.sessions.calls import Call, Owner


def record(
    db: AsyncSession,
    owner: Owner,
    call: Call | None,
    kind: str,
    *,
    at: datetime,
    stored_at: datetime | None = None,
    is_work: bool = True,
    **facts: Any,
) -> int:
    """Add a happening to the owner's history, wake who reads it, and return its sequence.

    Args:
        stored_at: null where it happens just now.
        is_work: somebody else may have to do something now; else it is only to be read.
    """
    stored_at = stored_at or at
    owner.event_count += 1
    owner.updated_at = max(owner.updated_at, stored_at)
    db.add(
        CallEventRow(
            id=new_id(),
            call_id=owner.id,
            session_id=call.id if call is not None else None,
            sequence=owner.event_count,
            type=kind,
            at=at,
            stored_at=stored_at,
            data=facts,
        )
    )
    wake(db, is_work=is_work)
    return owner.event_count


def announce(
    db: AsyncSession,
    owner: Owner,
    call: Call | None,
    kind: str,
    *,
    at: datetime,
    **facts: Any,
) -> None:
    """Record a happening and leave it in the outbox, in the same transaction."""
    sequence = record(db, owner, call, kind, at=at, **facts)
    db.add(
        OutboxRow(
            id=new_id(),
            organization_id=owner.organization_id,
            call_id=owner.id,
            sequence=sequence,
            type=kind,
            data={"attempt_id": call.id if call is not None else None, **facts},
            created_at=at,
        )
    )
