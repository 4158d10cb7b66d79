"""Call orders: place, get, list, cancel, follow."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import BadInput
from control_plane.domain.ids import parse_id
from control_plane.domain.phone import e164
from control_plane.given import GivenDatabase, GivenPrincipal, GivenVault, GivenViews
from control_plane.orders import repository, service
from control_plane.orders.schemas import CallEnvelope, CallPage, EventPage, PlaceCall
from control_plane.orders.stream import stream
from control_plane.orders.views import event_view

EVENT_STREAM = "text/event-stream"
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the page before")]


class OrderController(Controller):
    """Wishes to reach a number."""

    path = "/call"
    tags = ("calls",)

    @post(operation_id="placeCall", summary="Place a call", status_code=200)
    async def place_call(
        self,
        data: JSONBody[PlaceCall],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        views: GivenViews,
    ) -> CallEnvelope:
        """Accept an order for one number; it survives every restart once this has answered."""
        order = await service.place(database, vault, principal.organization_id, data)
        return CallEnvelope(views.build(order))

    @get("/{call_id:str}", operation_id="getCall", summary="Get a call")
    async def get_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> CallEnvelope:
        """Return the order with its attempts, most recent first, and their transcripts."""
        key = parse_id(call_id, what="call")
        async with database.reading() as session:
            order = await repository.get_order(session, principal.organization_id, key)
            [view] = await views.load(session, [order])
        return CallEnvelope(view)

    @get(operation_id="listCalls", summary="List calls")
    async def list_calls(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
        status: Annotated[list[str] | None, QueryParameter(description="Any of these")] = None,
        number: Annotated[str | None, QueryParameter(description="Either side's, in E.164")] = None,
        direction: Annotated[str | None, QueryParameter(description="inbound or outbound")] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> CallPage:
        """Return orders, newest first."""
        query = repository.page_of_orders(
            principal.organization_id,
            statuses=[_status(word) for word in status or []],
            number=_number(number) if number is not None else None,
            direction=_direction(direction) if direction is not None else None,
            before=parse_id(cursor, what="call", field="cursor") if cursor is not None else None,
            limit=limit + 1,
        )
        async with database.reading() as session:
            orders = (await session.scalars(query)).all()
            calls = await views.load(session, orders[:limit])
        return CallPage(calls, calls[-1].id if len(orders) > limit else None)

    @post(
        "/{call_id:str}/cancel", operation_id="cancelCall", summary="Cancel a call", status_code=202
    )
    async def cancel_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> CallEnvelope:
        """Withdraw the order: at once before the dial, else its room is ended; `status` tells."""
        order = await service.cancel(database, principal.organization_id, call_id)
        async with database.reading() as session:
            [view] = await views.load(session, [order])
        return CallEnvelope(view)

    @get(
        "/{call_id:str}/events",
        operation_id="listCallEvents",
        summary="Follow a call",
        description="The order's history as JSON, or as server-sent events until its final state "
        "when the request accepts text/event-stream.",
    )
    async def events(
        self,
        call_id: FromPath[str],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        after: Annotated[int, QueryParameter(ge=0, description="Only later sequences")] = 0,
    ) -> Response[EventPage] | Stream:
        """Return what happened so far, or everything as it happens."""
        key = parse_id(call_id, what="call")
        async with database.reading() as session:
            await repository.get_order(session, principal.organization_id, key)
            rows = await repository.events_of(session, key, after=after, limit=10_000)
        if EVENT_STREAM not in request.headers.get("accept", ""):
            return Response(EventPage([event_view(row) for row in rows]))
        seen = request.headers.get("last-event-id", "")
        start = max(after, int(seen)) if seen.isascii() and seen.isdigit() else after
        return Stream(
            stream(database, principal.organization_id, key, after=start),
            media_type=EVENT_STREAM,
            headers={"Cache-Control": "no-store"},
        )


def _number(text: str) -> str:
    """Return the number; a + that was not escaped arrives as a space."""
    return e164(f"+{text[1:]}" if text.startswith(" ") else text, field="number")


def _direction(word: str) -> Direction:
    try:
        return Direction(word)
    except ValueError as exc:
        raise BadInput("direction is inbound or outbound", field="direction") from exc


def _status(word: str) -> OrderStatus:
    try:
        return OrderStatus(word)
    except ValueError as exc:
        known = ", ".join(OrderStatus)
        raise BadInput(f"status is one of {known}", field="status") from exc
