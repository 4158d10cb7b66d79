"""Cancelling, pausing and resuming call orders: rows only, no network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.errors import Conflict
from control_plane.domain.facts import AnyFact, CancelRequested, Paused, Resumed
from control_plane.domain.ids import parse_id
from control_plane.orders import leases, lifecycle, repository


async def cancel(database: Database, organization_id: str, order_id: str) -> CallOrder:
    """Return the order, cancelled, or with its cancel noted while an attempt is live.

    Raises:
        NotFound: there is no such order.
        Conflict: it has already ended in another way.
    """
    return await _tell(
        database, organization_id, order_id, lambda at: CancelRequested(at=at), _refuse_ended
    )


async def pause(database: Database, organization_id: str, order_id: str) -> CallOrder:
    """Return the order, which is not dialled again until it is resumed; a live call goes on.

    Raises:
        NotFound: there is no such order.
        Conflict: it has already ended.
    """
    return await _tell(database, organization_id, order_id, lambda at: Paused(at=at))


async def resume(database: Database, organization_id: str, order_id: str) -> CallOrder:
    """Return the order, which waits for its next eligible instant again.

    Raises:
        NotFound: there is no such order.
        Conflict: it has already ended.
    """
    return await _tell(database, organization_id, order_id, lambda at: Resumed(at=at))


async def _tell(
    database: Database,
    organization_id: str,
    order_id: str,
    fact: Callable[[datetime], AnyFact],
    check: Callable[[CallOrder], None] = lambda _order: None,
) -> CallOrder:
    key = parse_id(order_id, what="call")
    async with database.transaction() as session:
        await repository.get_order(session, organization_id, key)
        order = await leases.lock_order(session, key)
        check(order)
        await lifecycle.apply(session, order, None, fact(await read_clock(session)))
    return order


def _refuse_ended(order: CallOrder) -> None:
    if is_final(order.status) and order.status is not OrderStatus.CANCELLED:
        raise Conflict(f"the call is already {order.status}; nothing is left to cancel")
