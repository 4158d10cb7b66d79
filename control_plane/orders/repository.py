"""Queries on orders and attempts: claiming, looking up, listing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.recording import Recording
from control_plane.db.models.trunk import Trunk, TrunkPace
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import WAITING
from control_plane.domain.dial_errors import DialError
from control_plane.domain.errors import NotFound
from control_plane.domain.events import Role
from control_plane.domain.recording import RecordingState

LaneRow = tuple[str | None, datetime, datetime | None, datetime | None]
"""Trunk, earliest due time, stopped since, blocked until."""

CLAIM = timedelta(seconds=30)
"""How long a claimed order stays out of sight if its claimer dies before it writes more."""


async def claim_due(
    session: AsyncSession, trunk_id: str | None, *, now: datetime, limit: int
) -> Sequence[CallOrder]:
    """Return orders of a lane that are due, which no other scheduler will get; oldest first."""
    due = (
        select(CallOrder.id)
        .where(
            CallOrder.trunk_id.is_(None) if trunk_id is None else CallOrder.trunk_id == trunk_id,
            CallOrder.due_at.is_not(None),
            CallOrder.due_at <= now,
        )
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


async def lanes(session: AsyncSession) -> list[LaneRow]:
    """Return each trunk's lane that is not empty.

    One probe of the index per trunk, however many orders wait.
    """
    rows = (await session.execute(_LANES)).all()
    found: list[LaneRow] = [
        (trunk_id, due, stopped, blocked)
        for trunk_id, due, stopped, blocked, _lost in rows
        if due is not None
    ]
    lost = rows[0][-1] if rows else await session.scalar(_LOST)
    return [*found, (None, lost, None, None)] if lost is not None else found


# Built once, as are other statements that are asked many times a second.
_LOST = select(func.min(CallOrder.due_at)).where(
    CallOrder.trunk_id.is_(None), CallOrder.due_at.is_not(None)
)
_EARLIEST = (
    select(func.min(CallOrder.due_at))
    .where(CallOrder.trunk_id == Trunk.id, CallOrder.due_at.is_not(None))
    .correlate(Trunk)
    .scalar_subquery()
)
_LANES = (
    select(
        Trunk.id,
        _EARLIEST,
        TrunkPace.stopped_at,
        TrunkPace.blocked_until,
        _LOST.scalar_subquery(),
    )
    .outerjoin(TrunkPace, TrunkPace.trunk_id == Trunk.id)
    .where(Trunk.direction == Direction.OUTBOUND)
)


async def calls_on(session: AsyncSession, trunk_id: str) -> tuple[int, int, int]:
    """Return how many calls of the trunk are open, and of these in preparation and ringing."""
    rows = await session.execute(
        select(Attempt.status, func.count())
        .where(Attempt.trunk_id == trunk_id, Attempt.closed_at.is_(None))
        .group_by(Attempt.status)
    )
    counts = {AttemptStatus(status): count for status, count in rows}
    return (
        sum(counts.values()),
        counts.get(AttemptStatus.QUEUED, 0),
        counts.get(AttemptStatus.RINGING, 0),
    )


async def overdue_orders(
    session: AsyncSession, *, now: datetime, limit: int
) -> Sequence[CallOrder]:
    """Return waiting orders past their deadline, locked; nobody else gets them meanwhile."""
    rows = await session.scalars(
        select(CallOrder)
        .where(
            CallOrder.deadline_at.is_not(None),
            CallOrder.deadline_at < now,
            CallOrder.status.in_(WAITING),
        )
        .order_by(CallOrder.deadline_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


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


async def person_spoke(session: AsyncSession, attempt_id: str) -> bool:
    """Return whether the attempt's transcript has a word of the person's."""
    rows = await session.scalars(
        select(CallEventRow).where(
            CallEventRow.attempt_id == attempt_id, CallEventRow.type == "item_said"
        )
    )
    return any(row.data.get("role") == Role.USER for row in rows)


async def count_attempts(session: AsyncSession, order_ids: Collection[str]) -> dict[str, int]:
    """Return how many attempts each order has had, uncounted ones included; none: left out."""
    rows = await session.execute(
        select(Attempt.order_id, func.count())
        .where(Attempt.order_id.in_(order_ids))
        .group_by(Attempt.order_id)
    )
    return dict(rows.all())


async def outcomes(
    session: AsyncSession, order_id: str, *, besides: Attempt | None
) -> Sequence[tuple[bool, DialError | None]]:
    """Return of each other attempt whether it was answered, and its dial error; newest first."""
    query = (
        select(Attempt.answered_at.is_not(None), Attempt.dial_error)
        .where(Attempt.order_id == order_id)
        .order_by(Attempt.ordinal.desc())
    )
    if besides is not None:
        query = query.where(Attempt.id != besides.id)
    return [(answered, error) for answered, error in await session.execute(query)]


async def open_attempts(session: AsyncSession) -> Sequence[tuple[Attempt, CallOrder]]:
    """Return every attempt that is not closed, with its order."""
    rows = await session.execute(
        select(Attempt, CallOrder)
        .join(CallOrder, CallOrder.id == Attempt.order_id)
        .where(Attempt.room_deleted_at.is_(None), Attempt.closed_at.is_(None))
    )
    return [(attempt, order) for attempt, order in rows]


async def cancelled_attempts(session: AsyncSession) -> Sequence[Attempt]:
    """Return every attempt that is not closed although its order was cancelled."""
    rows = await session.scalars(
        select(Attempt)
        .join(CallOrder, CallOrder.id == Attempt.order_id)
        .where(
            Attempt.room_deleted_at.is_(None),
            Attempt.closed_at.is_(None),
            CallOrder.cancel_requested_at.is_not(None),
        )
    )
    return rows.all()


async def rooms_to_delete(session: AsyncSession) -> Sequence[Attempt]:
    """Return closed attempts whose room has not been deleted yet."""
    rows = await session.scalars(
        select(Attempt).where(Attempt.room_deleted_at.is_(None), Attempt.closed_at.is_not(None))
    )
    return rows.all()


async def recordings_of(
    session: AsyncSession, attempt_ids: Collection[str]
) -> dict[str, Recording]:
    """Return the recording of each attempt that was to be recorded."""
    rows = await session.scalars(select(Recording).where(Recording.attempt_id.in_(attempt_ids)))
    return {row.attempt_id: row for row in rows}


async def spooled_recordings(session: AsyncSession) -> Sequence[tuple[Attempt, Recording]]:
    """Return ended attempts whose recording has not been put away yet."""
    rows = await session.execute(
        select(Attempt, Recording)
        .join(Attempt, Attempt.id == Recording.attempt_id)
        .where(Recording.state == RecordingState.SPOOLING, Attempt.ended_at.is_not(None))
    )
    return [(attempt, recording) for attempt, recording in rows]
