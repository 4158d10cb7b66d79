"""Redial: calls by an OpenAI realtime model, at an epoch second, tried once.

Statuses are 200, 400, 401, 404 and 500 and no other: a call that cannot be placed is a 200 with
`error_scheduling`, and what passes by itself (too many requests, a busy database) a 500.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, MediaType, Request, Response, get, post, route
from litestar.params import JSONBody, QueryParameter
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.call_order import CallOrder
from control_plane.dialects.placing import placed_call
from control_plane.dialects.redial.requests import Schedule, order_request
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.errors import Conflict, NotCallable, NotFound
from control_plane.domain.events import AttemptResult, EndReason, Role
from control_plane.domain.ids import parse_id
from control_plane.http.auth import Principal
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.http.problems import Problem, handlers
from control_plane.orders import repository, service
from control_plane.orders.dependencies import GivenIntake
from control_plane.sessions.calls import Call

Status = Literal["completed", "no_response", "cancelled", "scheduled", "error"]
EventId = Annotated[str, QueryParameter(description="event_id of the scheduled call")]

_STATUSES = {
    HTTPStatus.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND: HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE: HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.INTERNAL_SERVER_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_ANSWERED = {Conflict.code, NotCallable.code}
"""Not wrong, and not possible: told in the answer itself."""
_FAULTS = {EndReason.PROVIDER_FAILED, EndReason.AGENT_LOST, EndReason.SIP_SERVICE_LOST}
_PEOPLE = {AttemptResult.HUMAN, AttemptResult.UNKNOWN}
_SPEAKERS = {Role.ASSISTANT: "assistant", Role.USER: "user"}
_OTHERS: list[Any] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Scheduled(Struct, frozen=True, kw_only=True):
    """A call that was scheduled, or why it was not."""

    event_id: str | None
    status: Literal["scheduled", "error_scheduling"] = "scheduled"
    error: str | None = None


class Event(Struct, frozen=True):
    """The call to cancel."""

    event_id: str


class Cancelled(Struct, frozen=True, omit_defaults=True):
    """Whether the call was cancelled."""

    success: bool
    error: str | None = None


class CallStatus(Struct, frozen=True, omit_defaults=True):
    """How far a call got."""

    status: Status
    error: str | None = None


class Transcript(Struct, frozen=True, omit_defaults=True):
    """What was said, a line for each turn."""

    status: Status
    transcript: str
    error: str | None = None


class Missing(Struct, frozen=True):
    """There is nothing here."""

    error: str


def _told(shape: type[Struct], tell: Callable[[str], Struct]) -> dict[Any, Any]:
    """Return the handlers of errors, told in the shape of an endpoint's own answer."""

    def render(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
        status = _STATUSES.get(HTTPStatus(problem.status), HTTPStatus.BAD_REQUEST)
        return Response(
            content=msgspec.json.encode(tell(problem.detail)),
            status_code=HTTPStatus.OK if problem.code in _ANSWERED else status,
            media_type=MediaType.JSON,
            headers={k: v for k, v in headers.items() if k in ("Retry-After", "WWW-Authenticate")},
        )

    return handlers(render, shape)


class RedialController(Controller):
    """Scheduled calls."""

    path = "/call"
    exception_handlers = _told(Missing, Missing)

    @post(
        "/schedule",
        status_code=200,
        exception_handlers=_told(
            Scheduled, lambda why: Scheduled(event_id=None, status="error_scheduling", error=why)
        ),
        operation_id="scheduleCall",
        summary="Schedule a call",
        opt={"raises": (NotCallable,)},
    )
    async def schedule(
        self, data: JSONBody[Schedule], principal: GivenPrincipal, intake: GivenIntake
    ) -> Scheduled:
        """Place the call at its instant, once."""
        asked = order_request(
            data, organization_id=principal.organization_id, api_key_id=principal.key_id
        )
        return Scheduled(event_id=placed_call(await intake.place(asked, None)).id)

    @post(
        "/cancel",
        status_code=200,
        exception_handlers=_told(Cancelled, lambda why: Cancelled(False, why)),
        operation_id="cancelCall",
        summary="Cancel a call",
    )
    async def cancel(
        self, data: JSONBody[Event], principal: GivenPrincipal, database: GivenDatabase
    ) -> Cancelled:
        """Withdraw the call, or end it."""
        async with database.reading() as db:
            order = await _order(db, principal, data.event_id)
        await service.cancel(database, principal.organization_id, order.id)
        return Cancelled(True)

    @get(
        "/status",
        exception_handlers=_told(CallStatus, lambda why: CallStatus("error", why)),
        operation_id="getCallStatus",
        summary="Ask how far a call got",
    )
    async def status(
        self, event_id: EventId, principal: GivenPrincipal, database: GivenDatabase
    ) -> CallStatus:
        """Return how far the call got."""
        async with database.reading() as db:
            order = await _order(db, principal, event_id)
            return CallStatus(status_of(order.status, await _calls(db, order)))

    @get(
        "/transcript",
        exception_handlers=_told(Transcript, lambda why: Transcript("error", "", why)),
        operation_id="getCallTranscript",
        summary="Read what was said",
    )
    async def transcript(
        self, event_id: EventId, principal: GivenPrincipal, database: GivenDatabase
    ) -> Transcript:
        """Return what was said."""
        async with database.reading() as db:
            order = await _order(db, principal, event_id)
            calls = await _calls(db, order)
            items = await repository.transcripts_of(db, [order.id])
        lines = [
            f"{_SPEAKERS[item.data['role']]}: {item.data['content']}"
            for call in reversed(calls)
            for item in items.get(call.id, ())
            if item.data["role"] in _SPEAKERS
        ]
        return Transcript(status_of(order.status, calls), "\n".join(lines))

    @route(["/", "/{rest:path}"], http_method=_OTHERS, status_code=404, include_in_schema=False)
    async def elsewhere(self, request: Request[Any, Any, Any]) -> None:
        """Say so in this dialect's shape, with a status that it knows."""
        raise NotFound(f"there is nothing at {request.url.path[:200]}")

    @route(
        ["/schedule", "/cancel"],
        http_method=_OTHERS[:2] + _OTHERS[3:],
        status_code=404,
        include_in_schema=False,
    )
    async def not_posted(self) -> None:
        """Say so in this dialect's shape, with a status that it knows."""
        raise NotFound("send this with POST")

    @route(
        ["/status", "/transcript"],
        http_method=_OTHERS[1:],
        status_code=404,
        include_in_schema=False,
    )
    async def not_got(self) -> None:
        """Say so in this dialect's shape, with a status that it knows."""
        raise NotFound("send this with GET")


def status_of(status: OrderStatus, calls: Sequence[Call]) -> Status:
    """Return the word for where an order stands; `calls` are its own, the last one first."""
    if status is OrderStatus.CANCELLED:
        return "cancelled"
    if status is OrderStatus.ERRORED:
        return "error"
    if status is not OrderStatus.COMPLETED:
        return "scheduled"
    last = calls[0].session if calls else None
    if last is None or last.answered_at is None:
        return "no_response"
    if last.end_reason in _FAULTS:
        return "error"
    return "completed" if last.result in _PEOPLE else "no_response"


async def _order(db: AsyncSession, principal: Principal, event_id: str) -> CallOrder:
    key = parse_id(event_id, what="call", field="event_id")
    owner = await repository.get_call(db, principal.organization_id, key)
    if not isinstance(owner, CallOrder):
        raise NotFound(f"there is no scheduled call with the id {key}", field="event_id")
    return owner


async def _calls(db: AsyncSession, order: CallOrder) -> list[Call]:
    return (await repository.calls_of(db, [order]))[order.id]
