"""A call's history as server-sent events, live until its final state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from control_plane.db.engine import Database
from control_plane.domain.call_order import is_final
from control_plane.http.streams import IDLE, KEEPALIVE, KEEPALIVE_S, SWEEP_S
from control_plane.orders import repository
from control_plane.orders.schemas import EventView
from control_plane.orders.views import event_view
from control_plane.orders.watch import CallWatch
from control_plane.sessions.calls import status_of

_PAGE = 200


async def stream(
    database: Database, watch: CallWatch, call_id: str, *, after: int
) -> AsyncGenerator[bytes, None]:
    """Yield each event once it is stored; the last is the call's final state.

    Format: `id` the sequence, `event` the type, `data` the event as JSON (WHATWG HTML 9.2).
    Yields `IDLE` once a second while nothing happens.
    """
    clock = asyncio.get_running_loop().time
    last_sent = clock()
    with watch.watching(call_id) as changes:
        while True:
            heard = changes.count
            async with database.reading() as db:
                owner = (await repository.owners_of(db, [call_id]))[call_id]
                rows = await repository.events_of(db, call_id, after=after, limit=_PAGE)
            for row in rows:
                after, last_sent = row.sequence, clock()
                yield _frame(event_view(row))
            if rows:
                continue
            if is_final(status_of(owner)):
                return
            while not await changes.wait(since=heard, timeout_s=SWEEP_S):
                late = clock() - last_sent > KEEPALIVE_S
                last_sent = clock() if late else last_sent
                yield KEEPALIVE if late else IDLE


def _frame(event: EventView) -> bytes:
    body = msgspec.json.encode(event)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.type.encode(), body)
