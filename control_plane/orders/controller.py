"""Call orders: place, get, list, cancel, follow."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, MediaType, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from control_plane.assistants.views import opener_for
from control_plane.db.engine import Database
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import (
    BadInput,
    IllegalTransition,
    KeyReused,
    MissingVariable,
    NotCallable,
)
from control_plane.domain.ids import parse_id
from control_plane.domain.phone import e164
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenStreams, GivenVault
from control_plane.http.filters import CreatedAfter, CreatedBefore, Metadata, instant, one_of, pair
from control_plane.http.pages import Cursor, Limit
from control_plane.orders import repository, service
from control_plane.orders.batch import MOST_ROWS, BatchAnswer, PlaceCalls, place_all
from control_plane.orders.dependencies import GivenIntake, GivenViews, GivenWatch
from control_plane.orders.explain import Explanation, explain
from control_plane.orders.following import history
from control_plane.orders.idempotency import REPLAYED, IdempotencyKey, request_key
from control_plane.orders.intake import StoredAnswer
from control_plane.orders.listing import Filter, page_of_calls
from control_plane.orders.requests import order_request
from control_plane.orders.schemas import CallEnvelope, CallPage, EventPage, PlaceCall
from control_plane.orders.views import CallViews
from control_plane.sessions.calls import Owner

BATCH_BODY_LIMIT = 32 * 1024 * 1024
RAISED = (MissingVariable, NotCallable, KeyReused)
"""What an order may be refused for, besides what every request may."""


class OrderController(Controller):
    """Orders to reach a number."""

    path = "/call"
    tags = ("calls",)

    @post(operation_id="placeCall", summary="Place a call", status_code=200, opt={"raises": RAISED})
    async def place_call(
        self,
        data: JSONBody[PlaceCall],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        intake: GivenIntake,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[CallEnvelope]:
        """Accept an order for one number; it survives every restart once this has answered."""
        key = request_key(
            idempotency_key,
            organization_id=principal.organization_id,
            operation="placeCall",
            body=await request.body(),
        )
        asked = order_request(
            data, organization_id=principal.organization_id, api_key_id=principal.key_id
        )
        return _answered(await intake.place(asked, key))

    @post(
        "/batch",
        operation_id="placeCalls",
        summary="Place many calls",
        description=f"Up to {MOST_ROWS} orders in one transaction; rows that cannot be met are "
        "told by index and do not keep the others from it, unless all_or_nothing is set.",
        status_code=200,
        request_max_body_size=BATCH_BODY_LIMIT,
        opt={"raises": RAISED},
    )
    async def place_calls(
        self,
        data: JSONBody[PlaceCalls],
        request: Request[Any, Any, Any],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        intake: GivenIntake,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[BatchAnswer]:
        """Accept many orders at once."""
        key = request_key(
            idempotency_key,
            organization_id=principal.organization_id,
            operation="placeCalls",
            body=await request.body(),
        )
        with intake.under_way(key):
            answer = await place_all(
                database,
                vault,
                organization_id=principal.organization_id,
                api_key_id=principal.key_id,
                request=data,
                key=key,
            )
        return _answered(answer)

    @get("/{call_id:str}", operation_id="getCall", summary="Get a call")
    async def get_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        views: GivenViews,
    ) -> CallEnvelope:
        """Return the order with its attempts, most recent first, and their transcripts.

        Of its assistant's `webhook_url` a key without the scope `admin` gets no more than the host.
        """
        key = parse_id(call_id, what="call")
        async with database.reading() as db:
            owner = await repository.get_call(db, principal.organization_id, key)
            [view] = await views.load(db, [owner], vault=opener_for(principal, vault))
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
        campaign_id: Annotated[str | None, QueryParameter(description="Of this campaign")] = None,
        metadata: Metadata = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> CallPage:
        """Return orders and calls that came in, newest first."""
        wanted = Filter(
            statuses=[one_of(OrderStatus, word, "status") for word in status or []],
            number=_number(number) if number is not None else None,
            direction=_direction(direction) if direction is not None else None,
            campaign_id=campaign_id,
            metadata=tuple(pair(text) for text in metadata or []),
            created_after=instant(created_after, "created_after"),
            created_before=instant(created_before, "created_before"),
        )
        before = parse_id(cursor, what="call", field="cursor") if cursor is not None else None
        async with database.reading() as db:
            found = await page_of_calls(
                db, principal.organization_id, wanted, before=before, limit=limit + 1
            )
            calls = await views.load(db, found[:limit])
        return CallPage(calls, calls[-1].id if len(found) > limit else None)

    @post(
        "/{call_id:str}/cancel",
        operation_id="cancelCall",
        summary="Cancel a call",
        status_code=202,
        opt={"raises": (IllegalTransition,)},
    )
    async def cancel_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> CallEnvelope:
        """Withdraw the order: at once before the dial, else its room is ended; `status` tells."""
        owner = await service.cancel(database, principal.organization_id, call_id)
        return await _shown(database, views, owner)

    @post(
        "/{call_id:str}/pause",
        operation_id="pauseCall",
        summary="Pause a call",
        status_code=200,
        opt={"raises": (IllegalTransition,)},
    )
    async def pause_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> CallEnvelope:
        """Dial no more until the order is resumed; a live call goes on."""
        owner = await service.pause(database, principal.organization_id, call_id)
        return await _shown(database, views, owner)

    @post(
        "/{call_id:str}/resume",
        operation_id="resumeCall",
        summary="Resume a call",
        status_code=200,
        opt={"raises": (IllegalTransition,)},
    )
    async def resume_call(
        self,
        call_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        views: GivenViews,
    ) -> CallEnvelope:
        """Let a paused order wait for its next eligible instant again."""
        owner = await service.resume(database, principal.organization_id, call_id)
        return await _shown(database, views, owner)

    @get("/{call_id:str}/explain", operation_id="explainCall", summary="Explain a call")
    async def explain_call(
        self, call_id: FromPath[str], principal: GivenPrincipal, database: GivenDatabase
    ) -> Explanation:
        """Return every decision so far, and what holds the order back now."""
        key = parse_id(call_id, what="call")
        async with database.reading() as db:
            owner = await repository.get_call(db, principal.organization_id, key)
            return await explain(db, owner)

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
        streams: GivenStreams,
        watch: GivenWatch,
        after: Annotated[int, QueryParameter(ge=0, description="Only later sequences")] = 0,
    ) -> Response[EventPage] | Stream:
        """Return what happened so far, or everything as it happens."""
        key = parse_id(call_id, what="call")
        async with database.reading() as db:
            await repository.get_call(db, principal.organization_id, key)
        return await history(request, principal, database, streams, watch, key, after=after)


async def _shown(database: Database, views: CallViews, owner: Owner) -> CallEnvelope:
    async with database.reading() as db:
        [view] = await views.load(db, [owner])
    return CallEnvelope(view)


def _answered(answer: StoredAnswer) -> Response[Any]:
    return Response(
        content=answer.body,
        media_type=MediaType.JSON,
        status_code=200,
        headers={REPLAYED: "true"} if answer.replayed else {},
    )


def _number(text: str) -> str:
    """Return the number; a + that was not escaped arrives as a space."""
    return e164(f"+{text[1:]}" if text.startswith(" ") else text, field="number")


def _direction(word: str) -> Direction:
    for each in (Direction.INBOUND, Direction.OUTBOUND):
        if word == each:
            return each
    raise BadInput("direction is inbound or outbound", field="direction")
