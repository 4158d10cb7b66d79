"""Queries on orders and attempts: claiming, looking up, listing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Leg, Session
from control_plane.db.models.trunk import Trunk, TrunkPace
from control_plane.db.owned import find_own, get_own
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import WAITING
from control_plane.domain.events import Role
from control_plane.domain.leg import LegKind
from control_plane.domain.recording import RecordingState
from control_plane.domain.retry import AttemptOutcome
from control_plane.sessions.calls import LIVE, OPEN, Call, Owner, list_calls, select_calls

LaneRow = tuple[str | None, datetime, datetime | None, datetime | None]
"""Trunk, earliest due time, stopped since, blocked until."""

CLAIM = timedelta(seconds=30)
"""How long a claimed order stays out of sight if its claimer dies before it writes more."""


async def claim_due(
    db: AsyncSession, trunk_id: str | None, *, now: datetime, limit: int
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
    claimed = await db.scalars(
        update(CallOrder)
        .where(CallOrder.id.in_(due))
        .values(due_at=now + CLAIM, epoch=CallOrder.epoch + 1)
        .returning(CallOrder)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(claimed, key=lambda order: order.id)


async def lanes(db: AsyncSession) -> list[LaneRow]:
    """Return each trunk's lane that is not empty.

    One probe of the index per trunk, however many orders wait.
    """
    rows = (await db.execute(_LANES)).all()
    found: list[LaneRow] = [
        (trunk_id, due, stopped, blocked)
        for trunk_id, due, stopped, blocked, _lost in rows
        if due is not None
    ]
    lost = rows[0][-1] if rows else await db.scalar(_LOST)
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


async def overdue_orders(db: AsyncSession, *, now: datetime, limit: int) -> Sequence[CallOrder]:
    """Return waiting orders past their deadline, locked; nobody else gets them meanwhile."""
    rows = await db.scalars(
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


async def get_call(db: AsyncSession, organization_id: str, call_id: str) -> Owner:
    """Return the order, or the session of a call that came in.

    Raises:
        NotFound: this organization has no such call.
    """
    order = await find_own(db, CallOrder, organization_id, call_id)
    if order is not None:
        return order
    came_in = Session.direction == Direction.INBOUND
    return await get_own(db, Session, organization_id, call_id, came_in, what="call")


async def owners_of(db: AsyncSession, call_ids: Collection[str]) -> dict[str, Owner]:
    """Return, by id, the orders and the sessions without an order."""
    orders = await db.scalars(select(CallOrder).where(CallOrder.id.in_(call_ids)))
    found: dict[str, Owner] = {order.id: order for order in orders}
    if missing := set(call_ids) - found.keys():
        rows = await db.scalars(select(Session).where(Session.id.in_(missing)))
        found |= {row.id: row for row in rows}
    return found


async def calls_of(db: AsyncSession, owners: Collection[Owner]) -> dict[str, list[Call]]:
    """Return the calls of each owner, most recent first."""
    found: dict[str, list[Call]] = {owner.id: [] for owner in owners}
    orders = [owner.id for owner in owners if isinstance(owner, CallOrder)]
    alone = [owner.id for owner in owners if isinstance(owner, Session)]
    for some in (
        Attempt.order_id.in_(orders) if orders else None,
        Session.id.in_(alone) if alone else None,
    ):
        if some is None:
            continue
        for call in await list_calls(db, select_calls().where(some)):
            found[call.order_id or call.id].append(call)
    for calls in found.values():
        calls.sort(key=lambda call: call.attempt.ordinal if call.attempt else 1, reverse=True)
    return found


async def transcripts_of(
    db: AsyncSession, call_ids: Collection[str]
) -> dict[str, list[CallEventRow]]:
    """Return the transcript items of each attempt, in the order they were said."""
    rows = await db.scalars(
        select(CallEventRow)
        .where(CallEventRow.call_id.in_(call_ids), CallEventRow.type == "item_said")
        .order_by(CallEventRow.call_id, CallEventRow.sequence)
    )
    found: dict[str, list[CallEventRow]] = {}
    for row in rows:
        found.setdefault(row.session_id or "", []).append(row)
    return found


async def events_of(
    db: AsyncSession, call_id: str, *, after: int, limit: int
) -> Sequence[CallEventRow]:
    """Return the call's history after the sequence `after`, oldest first."""
    rows = await db.scalars(
        select(CallEventRow)
        .where(CallEventRow.call_id == call_id, CallEventRow.sequence > after)
        .order_by(CallEventRow.sequence)
        .limit(limit)
    )
    return rows.all()


async def person_spoke(db: AsyncSession, session_id: str) -> bool:
    """Return whether the session's transcript has a word of the person's."""
    rows = await db.scalars(
        select(CallEventRow).where(
            CallEventRow.session_id == session_id, CallEventRow.type == "item_said"
        )
    )
    return any(row.data.get("role") == Role.USER for row in rows)


async def count_attempts(db: AsyncSession, order_ids: Collection[str]) -> dict[str, int]:
    """Return how many attempts each order has had, uncounted ones included; none: left out."""
    rows = await db.execute(
        select(Attempt.order_id, func.count())
        .where(Attempt.order_id.in_(order_ids))
        .group_by(Attempt.order_id)
    )
    return dict(rows.all())


async def outcomes(
    db: AsyncSession, order_id: str, *, besides: Call | None
) -> list[AttemptOutcome]:
    """Return how each other attempt went; newest first."""
    query = (
        select(Leg.answered_at.is_not(None), Leg.dial_error)
        .join(Attempt, Attempt.session_id == Leg.session_id)
        .where(Attempt.order_id == order_id, Leg.kind == LegKind.CALLEE)
        .order_by(Attempt.ordinal.desc())
    )
    if besides is not None:
        query = query.where(Attempt.session_id != besides.id)
    return [AttemptOutcome(*row) for row in await db.execute(query)]


async def open_calls(db: AsyncSession) -> Sequence[Call]:
    """Return every call that has begun and is not closed."""
    return await list_calls(db, select_calls().where(*LIVE))


async def cancelled_calls(db: AsyncSession) -> Sequence[Call]:
    """Return every call that is not closed although it was cancelled."""
    cancelled = or_(
        CallOrder.cancel_requested_at.is_not(None), Session.cancel_requested_at.is_not(None)
    )
    query = (
        select_calls()
        .outerjoin(CallOrder, CallOrder.id == Attempt.order_id)
        .where(*OPEN, cancelled)
    )
    return await list_calls(db, query)


async def rooms_to_delete(db: AsyncSession) -> Sequence[Session]:
    """Return closed sessions whose room has not been deleted yet."""
    rows = await db.scalars(
        select(Session).where(Session.room_deleted_at.is_(None), Session.closed_at.is_not(None))
    )
    return rows.all()


async def recordings_of(db: AsyncSession, session_ids: Collection[str]) -> dict[str, Recording]:
    """Return the recording of each session that was to be recorded."""
    rows = await db.scalars(select(Recording).where(Recording.session_id.in_(session_ids)))
    return {row.session_id: row for row in rows}


async def spooled_recordings(db: AsyncSession) -> Sequence[tuple[Session, Recording]]:
    """Return ended sessions whose recording has not been put away yet."""
    rows = await db.execute(
        select(Session, Recording)
        .join(Session, Session.id == Recording.session_id)
        .where(Recording.state == RecordingState.SPOOLING, Session.ended_at.is_not(None))
    )
    return [(ended, recording) for ended, recording in rows]
