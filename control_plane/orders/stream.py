"""An order's history as server-sent events, live until its final state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from control_plane.db.engine import Database
from control_plane.domain.call_order import is_final
from control_plane.orders import repository
from control_plane.orders.schemas import EventView
from control_plane.orders.views import event_view

_PAGE = 200
_SWEEP_SECS = 1.0
_KEEPALIVE_SECS = 15.0


async def stream(
    database: Database, organization_id: str, order_id: str, *, after: int
) -> AsyncIterator[bytes]:
    """Yield each event once it is stored; the last is the order's final state.

    Format: `id` the sequence, `event` the type, `data` the event as JSON (WHATWG HTML 9.2).
    """
    clock = asyncio.get_running_loop().time
    last_sent = clock()
    while True:
        heard = database.bell.count
        async with database.reading() as session:
            order = await repository.get_order(session, organization_id, order_id)
            rows = await repository.events_of(session, order_id, after=after, limit=_PAGE)
        for row in rows:
            after, last_sent = row.sequence, clock()
            yield _frame(event_view(row))
        if rows:
            continue
        if is_final(order.status):
            return
        await database.bell.wait(since=heard, timeout_s=_SWEEP_SECS)
        if clock() - last_sent > _KEEPALIVE_SECS:
            last_sent = clock()
            yield b": still here\n\n"


def _frame(event: EventView) -> bytes:
    body = msgspec.json.encode(event)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.type.encode(), body)
