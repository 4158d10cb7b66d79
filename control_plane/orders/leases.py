"""Who may write to an attempt, and until when: epochs and leases on the database's clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.errors import NotFound, StaleEpoch

HEARTBEAT_SECS = 3.0
LEASE = timedelta(seconds=10)
_HELD = (
    select(CallOrder, Attempt)
    .join(Attempt, Attempt.order_id == CallOrder.id)
    .where(Attempt.id == bindparam("attempt_id"))
    .with_for_update()
)


async def hold(
    session: AsyncSession, attempt_id: str, *, epoch: int | None
) -> tuple[CallOrder, Attempt]:
    """Return the attempt and its order, locked until the transaction ends.

    Args:
        epoch: the fence; None only for who bumps it in the same transaction.

    Raises:
        NotFound: there is no such attempt.
        StaleEpoch: somebody else has taken it over.
    """
    # Both by one statement, always the same, so that two holders cannot wait for each other.
    row = (await session.execute(_HELD, {"attempt_id": attempt_id})).one_or_none()
    if row is None:
        raise NotFound("there is no such session", field="id")
    order, attempt = row
    if epoch is not None and attempt.epoch != epoch:
        raise StaleEpoch(
            f"the session is held with epoch {attempt.epoch}, not {epoch}", field="epoch"
        )
    return order, attempt


async def lock_order(session: AsyncSession, order_id: str) -> CallOrder:
    """Return the order, locked until the transaction ends."""
    return (
        await session.execute(select(CallOrder).where(CallOrder.id == order_id).with_for_update())
    ).scalar_one()


async def renew_dispatch(
    session: AsyncSession, attempt_ids: Collection[str], *, now: datetime
) -> None:
    """Keep the dispatch leases that a living scheduler holds."""
    await session.execute(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.dispatch_lease_until.is_not(None))
        .values(dispatch_lease_until=now + LEASE)
    )


def take_over(attempt: Attempt) -> None:
    """Shut out every earlier owner of a held attempt."""
    attempt.epoch += 1
