"""An organization's outgoing events for who has no public address: a page, or as they come."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import Database
from control_plane.db.models.history import OutboxRow
from control_plane.webhooks import repository
from control_plane.webhooks.outbox import metadata_of
from control_plane.webhooks.payloads import event_body
from control_plane.webhooks.schemas import OutgoingEvent

PAGE = 200
_SWEEP_S = 1.0
_KEEPALIVE_S = 15.0
_OVERLAP = timedelta(seconds=5)
_SEEN = 10_000


async def page(
    session: AsyncSession, owner: str, after: str | None, *, types: list[str], limit: int
) -> list[OutgoingEvent]:
    """Return events after one of them, oldest first."""
    rows = await repository.events_after(session, owner, after, types=types, limit=limit)
    return await _bodies(session, rows)


async def stream(
    database: Database, owner: str, *, after: str | None, types: list[str]
) -> AsyncIterator[bytes]:
    """Yield events as they are stored, from now on or after one of them, for ever.

    Format: `id` the event's, `event` its type, `data` the event as JSON (WHATWG HTML 9.2). An id
    is made before its transaction ends, so each look begins a little before the newest one seen.
    """
    clock = asyncio.get_running_loop().time
    last_sent, seen = clock(), OrderedDict[str, None]()
    if after is None:
        async with database.reading() as session:
            after = await _begin_now(session, owner, seen)
    while True:
        heard = database.bell.count
        async with database.reading() as session:
            rows = await repository.events_after(session, owner, after, types=types, limit=PAGE)
            fresh = [row for row in rows if row.id not in seen]
            events = await _bodies(session, fresh)
        for event in events:
            seen[event.id], last_sent = None, clock()
            yield _frame(event)
        while len(seen) > _SEEN:
            seen.popitem(last=False)
        if len(rows) == PAGE:  # more lies behind: what may still appear before it is long past
            after = rows[-1].id
            continue
        if rows:
            after = max(after or "", _a_little_before(rows[-1].id))
        await database.bell.wait(since=heard, timeout_s=_SWEEP_S)
        if clock() - last_sent > _KEEPALIVE_S:
            last_sent = clock()
            yield b": still here\n\n"


async def _begin_now(session: AsyncSession, owner: str, seen: OrderedDict[str, None]) -> str | None:
    newest = await repository.newest_event(session, owner)
    if newest is None:
        return None
    after = _a_little_before(newest)
    for row in await repository.events_after(session, owner, after, types=[], limit=_SEEN):
        seen[row.id] = None
    return after


def _a_little_before(event_id: str) -> str:
    """Return an id of the time just before (a UUIDv7 begins with its milliseconds)."""
    key = UUID(event_id)
    overlap = int(_OVERLAP.total_seconds() * 1000) << 80
    return str(UUID(int=max(0, key.int - overlap)))


async def _bodies(session: AsyncSession, rows: Sequence[OutboxRow]) -> list[OutgoingEvent]:
    metadata = await metadata_of(session, rows) if rows else {}
    return [msgspec.convert(event_body(row, metadata[row.id]), OutgoingEvent) for row in rows]


def _frame(event: OutgoingEvent) -> bytes:
    body = msgspec.json.encode(event)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode(), event.type.encode(), body)
