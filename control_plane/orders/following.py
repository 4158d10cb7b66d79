"""A call's history as it is asked for: what happened so far, or everything as it happens."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.response import Stream

from control_plane.db.engine import Database
from control_plane.http.auth import Principal
from control_plane.http.streams import EVENT_STREAM, OpenStreams
from control_plane.orders import repository
from control_plane.orders.schemas import EventPage
from control_plane.orders.stream import stream
from control_plane.orders.views import event_view
from control_plane.orders.watch import CallWatch

_MOST = 10_000


async def history(
    request: Request[Any, Any, Any],
    principal: Principal,
    database: Database,
    streams: OpenStreams,
    watch: CallWatch,
    call_id: str,
    *,
    after: int,
) -> Response[EventPage] | Stream:
    """Return the events of a call that is the principal's, as JSON or as server-sent events.

    A stream goes on where `Last-Event-ID` says, and ends with the call.
    """
    if EVENT_STREAM not in request.headers.get("accept", ""):
        async with database.reading() as db:
            rows = await repository.events_of(db, call_id, after=after, limit=_MOST)
        return Response(EventPage([event_view(row) for row in rows]))
    seen = request.headers.get("last-event-id", "")
    start = max(after, int(seen)) if seen.isascii() and seen.isdigit() else after
    return Stream(
        streams.begin(principal, stream(database, watch, call_id, after=start)),
        media_type=EVENT_STREAM,
        headers={"Cache-Control": "no-store"},
    )
