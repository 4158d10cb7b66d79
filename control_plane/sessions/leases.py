"""Who may write to a call, and until when: epochs and leases on the database's clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Leg, Session
from control_plane.domain.errors import NotFound, StaleEpoch
from control_plane.domain.leg import LegKind
from control_plane.sessions.calls import UNORDERED, Call

HEARTBEAT_SECS = 3.0
LEASE = timedelta(seconds=10)
_ORDERED = (
    select(Session, Leg, Attempt, CallOrder)
    .join(Leg, (Leg.session_id == Session.id) & (Leg.kind == LegKind.CALLEE))
    .join(Attempt, Attempt.session_id == Session.id)
    .join(CallOrder, CallOrder.id == Attempt.order_id)
    .where(Session.id == bindparam("session_id"))
    .with_for_update()
)
_ALONE = (
    select(Session, Leg)
    .join(Leg, (Leg.session_id == Session.id) & Leg.kind.in_(UNORDERED))
    .where(Session.id == bindparam("session_id"))
    .with_for_update()
)


async def lock(
    db: AsyncSession, session_id: str, *, epoch: int | None
) -> tuple[CallOrder | None, Call]:
    """Return the call and its order, locked until the transaction ends.

    Args:
        epoch: the fence; None only for who bumps it in the same transaction, or acts for no owner.

    Raises:
        NotFound: there is no such session.
        StaleEpoch: somebody else has taken it over.
    """
    # All by one statement, always the same, so that two holders cannot wait for each other.
    key = {"session_id": session_id}
    order: CallOrder | None = None
    if (row := (await db.execute(_ORDERED, key)).one_or_none()) is not None:
        session, leg, attempt, order = row
        call = Call(session, leg, attempt)
    elif (alone := (await db.execute(_ALONE, key)).one_or_none()) is not None:
        call = Call(*alone)
    else:
        raise NotFound("there is no such session", field="id")
    if epoch is not None and call.session.epoch != epoch:
        raise StaleEpoch(
            f"the session is held with epoch {call.session.epoch}, not {epoch}", field="epoch"
        )
    return order, call


async def lock_ordered(
    db: AsyncSession, session_id: str, *, epoch: int | None
) -> tuple[CallOrder, Call]:
    """Return the same of a call that was ordered; as `lock` otherwise."""
    order, call = await lock(db, session_id, epoch=epoch)
    if order is None:
        raise NotFound("there is no such attempt", field="id")
    return order, call


async def lock_order(db: AsyncSession, order_id: str) -> CallOrder:
    """Return the order, locked until the transaction ends."""
    return (
        await db.execute(select(CallOrder).where(CallOrder.id == order_id).with_for_update())
    ).scalar_one()


async def renew_dispatch(db: AsyncSession, session_ids: Collection[str], *, now: datetime) -> None:
    """Keep the dispatch leases that a living scheduler holds."""
    await db.execute(
        update(Session)
        .where(Session.id.in_(session_ids), Session.dispatch_lease_until.is_not(None))
        .values(dispatch_lease_until=now + LEASE)
    )


def take_over(call: Call) -> None:
    """Shut out every earlier owner of a held call."""
    call.session.epoch += 1
