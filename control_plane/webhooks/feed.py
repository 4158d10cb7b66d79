"""An organization's outgoing events for who has no public address: a page, or as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.engine import Database
from control_plane.db.models.history import OutboxRow
from control_plane.http.streams import IDLE, KEEPALIVE, KEEPALIVE_S, SWEEP_S, SharedLook
from control_plane.webhooks import repository
from control_plane.webhooks.outbox import metadata_of
from control_plane.webhooks.payloads import event_body
from control_plane.webhooks.schemas import OutgoingEvent

PAGE = 200
_OVERLAP = timedelta(seconds=5)
_SEEN = 10_000
_MOST_WAITING = 1_000


class Framed(msgspec.Struct, frozen=True):
    """An event as it goes over the wire, made once for all streams."""

    id: str
    type: str
    frame: bytes


async def page(
    db: AsyncSession, owner: str, after: str | None, *, types: list[str], limit: int
) -> list[OutgoingEvent]:
    """Return events after one of them, oldest first."""
    rows = await repository.events_after(db, owner, after, types=types, limit=limit)
    return await _bodies(db, rows)


class Subscription:
    """What one stream is handed; `behind` when it took too long and must read for itself."""

    def __init__(self) -> None:
        self.behind = False
        self._waiting: asyncio.Queue[Framed] = asyncio.Queue(_MOST_WAITING)

    def put(self, event: Framed) -> None:
        """Hand it over."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.behind = True

    async def next(self) -> Framed | None:
        """Return the next event, None when there was none for `SWEEP_S`."""
        try:
            async with asyncio.timeout(SWEEP_S):
                return await self._waiting.get()
        except TimeoutError:
            return None

    def clear(self) -> None:
        """Forget what waits: it is in the rows as well."""
        self.behind = False
        while not self._waiting.empty():
            self._waiting.get_nowait()


class _Owner:
    """How far an organization's events are handed out, and to whom."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.begun = False
        self.after: str | None = None
        self.seen: OrderedDict[str, None] = OrderedDict()


class Feed(SharedLook):
    """Reads each organization's new events once, and hands them to all its streams."""

    def __init__(self, database: Database):
        super().__init__(database)
        self._owners: dict[str, _Owner] = {}

    @contextlib.contextmanager
    def subscribed(self, owner: str) -> Iterator[Subscription]:
        """Yield what gets the organization's events from now on, while the context is open."""
        state = self._owners.setdefault(owner, _Owner())
        subscription = Subscription()
        state.subscriptions.add(subscription)
        self._join()
        try:
            yield subscription
        finally:
            self._leave()
            state.subscriptions.discard(subscription)
            if not state.subscriptions:
                del self._owners[owner]

    async def _poll(self) -> None:
        for owner, state in list(self._owners.items()):
            while await self._hand_out(owner, state):
                pass

    async def _hand_out(self, owner: str, state: _Owner) -> bool:
        """Hand out a page; whether more lies behind it."""
        async with self._database.reading() as db:
            if not state.begun:  # all before belongs to what each stream reads for itself
                state.after = await _begin_now(db, owner, state.seen)
                state.begun = True
                for subscription in state.subscriptions:
                    subscription.behind = True
            rows = await repository.events_after(db, owner, state.after, types=[], limit=PAGE)
            events = await _bodies(db, [row for row in rows if row.id not in state.seen])
        for event in events:
            state.seen[event.id] = None
            framed = Framed(event.id, event.type, _frame(event))
            for subscription in state.subscriptions:
                subscription.put(framed)
        _trim(state.seen)
        if rows:
            more = len(rows) == PAGE
            state.after = rows[-1].id if more else _later(state.after, rows[-1].id)
        return len(rows) == PAGE


async def stream(
    database: Database, feed: Feed, owner: str, *, after: str | None, types: list[str]
) -> AsyncGenerator[bytes, None]:
    """Yield events as they are stored, from now on or after one of them, for ever.

    Format: `id` the event's, `event` its type, `data` the event as JSON (WHATWG HTML 9.2). An id
    is made before its transaction ends, so each look begins a little before the newest one seen.
    Yields `IDLE` once a second while nothing happens.
    """
    clock = asyncio.get_running_loop().time
    last_sent, seen = clock(), OrderedDict[str, None]()
    with feed.subscribed(owner) as subscription:
        if after is None:
            async with database.reading() as db:
                after = await _begin_now(db, owner, seen)
        subscription.behind = True
        while True:
            if subscription.behind:
                subscription.clear()
                more = True
                while more:
                    async with database.reading() as db:
                        rows = await repository.events_after(
                            db, owner, after, types=types, limit=PAGE
                        )
                        events = await _bodies(db, [r for r in rows if r.id not in seen])
                    for event in events:
                        seen[event.id], last_sent = None, clock()
                        yield _frame(event)
                    more = len(rows) == PAGE
                    if rows:
                        after = rows[-1].id if more else _later(after, rows[-1].id)
            framed = await subscription.next()
            if framed is not None and framed.id not in seen:
                seen[framed.id] = None
                after = _later(after, framed.id)
                if wanted(framed.type, types):
                    last_sent = clock()
                    yield framed.frame
            elif framed is None:
                late = clock() - last_sent > KEEPALIVE_S
                last_sent = clock() if late else last_sent
                yield KEEPALIVE if late else IDLE
            _trim(seen)


def wanted(event_type: str, types: Sequence[str]) -> bool:
    """Whether a stream of these types has this one; the same as `repository.events_after` finds."""
    return not types or any(
        event_type.startswith(t[:-1]) if t.endswith(".*") else event_type == t for t in types
    )


def _later(after: str | None, event_id: str) -> str:
    """Return where the next look begins, once everything up to an event was seen."""
    return max(after or "", _a_little_before(event_id))


def _trim(seen: OrderedDict[str, None]) -> None:
    while len(seen) > _SEEN:
        seen.popitem(last=False)


async def _begin_now(db: AsyncSession, owner: str, seen: OrderedDict[str, None]) -> str | None:
    newest = await repository.newest_event(db, owner)
    if newest is None:
        return None
    after = _a_little_before(newest)
    for row in await repository.events_after(db, owner, after, types=[], limit=_SEEN):
        seen[row.id] = None
    return after


def _a_little_before(event_id: str) -> str:
    """Return an id of the time just before (a UUIDv7 begins with its milliseconds)."""
    key = UUID(event_id)
    overlap = int(_OVERLAP.total_seconds() * 1000) << 80
    return str(UUID(int=max(0, key.int - overlap)))


async def _bodies(db: AsyncSession, rows: Sequence[OutboxRow]) -> list[OutgoingEvent]:
    metadata = await metadata_of(db, rows) if rows else {}
    return [msgspec.convert(event_body(row, metadata[row.id]), OutgoingEvent) for row in rows]


def _frame(event: OutgoingEvent) -> bytes:
    body = msgspec.json.encode(event)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode(), event.type.encode(), body)
