"""Cancelling, pausing and resuming calls: rows only, no network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.call_order import OrderStatus, is_final
from control_plane.domain.errors import Conflict
from control_plane.domain.ids import parse_id
from control_plane.domain.transitions import CancelRequested, Fact, Paused, Resumed
from control_plane.orders import lifecycle, repository
from control_plane.sessions import leases
from control_plane.sessions.calls import Owner, status_of


async def cancel(database: Database, organization_id: str, call_id: str) -> Owner:
    """Return the call, cancelled, or with its cancel noted while it is live.

    Raises:
        NotFound: there is no such call.
        Conflict: it has already ended in another way.
    """
    return await _apply(database, organization_id, call_id, lambda at: CancelRequested(at=at))


async def pause(database: Database, organization_id: str, call_id: str) -> Owner:
    """Return the order, which is not dialled again until it is resumed; a live call goes on.

    Raises:
        NotFound: there is no such call.
        Conflict: it has already ended, or nobody ordered it.
    """
    return await _apply(database, organization_id, call_id, lambda at: Paused(at=at))


async def resume(database: Database, organization_id: str, call_id: str) -> Owner:
    """Return the order, which waits for its next eligible instant again.

    Raises:
        NotFound: there is no such call.
        Conflict: it has already ended, or nobody ordered it.
    """
    return await _apply(database, organization_id, call_id, lambda at: Resumed(at=at))


async def _apply(
    database: Database, organization_id: str, call_id: str, fact: Callable[[datetime], Fact]
) -> Owner:
    key = parse_id(call_id, what="call")
    async with database.transaction() as db:
        owner = await repository.get_call(db, organization_id, key)
        order = call = None
        if isinstance(owner, CallOrder):
            owner = order = await leases.lock_order(db, key)
        else:
            _, call = await leases.lock(db, key, epoch=None)
            owner = call.session
        told = fact(await read_clock(db))
        if isinstance(told, CancelRequested):
            _refuse_ended(owner)
        elif order is None:
            raise Conflict("this call came in: nothing dials it, so there is nothing to hold back")
        await lifecycle.apply(db, order, call, told)
    return owner


def _refuse_ended(owner: Owner) -> None:
    status = status_of(owner)
    if is_final(status) and status is not OrderStatus.CANCELLED:
        raise Conflict(f"the call is already {status}; nothing is left to cancel")
