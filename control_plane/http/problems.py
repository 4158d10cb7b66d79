"""Errors as problem documents (RFC 9457): the one place where an error gets its HTTP status."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from control_plane.domain import errors
from control_plane.http.requests import explain
from process.logs import get_logger

PROBLEM_JSON = "application/problem+json"
_MISSING = re.compile(r"Missing required query parameter '(\w+)'")
log = get_logger(__name__)

STATUS: dict[type[errors.Refused], HTTPStatus] = {
    errors.Refused: HTTPStatus.BAD_REQUEST,
    errors.BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Gone: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document; `field` names the part of the request, `detail` the remedy."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"
    field: str | None = None
    size: int | None = None
    rule: str | None = None


_FAULT = HTTPStatus.INTERNAL_SERVER_ERROR
INTERNAL_ERROR = Problem(
    _FAULT.phrase,
    _FAULT,
    "internal_error",
    "the request failed through a fault of the server; its log says why",
)
"""What nobody expected."""


def status_of(error: type[errors.Refused]) -> HTTPStatus:
    """Return the HTTP status of an error class: its own, or its nearest ancestor's."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


Told = tuple[Problem, dict[str, str]]
"""What an error comes to, and the headers that go with it."""
Render = Callable[[Problem, dict[str, str]], Response[bytes]]


def problem_of(request: Request[Any, Any, Any], exc: Exception) -> Told:
    """Return what an error comes to; what nobody expected is logged."""
    match exc:
        case errors.Refused():
            return told(exc)
        case HTTPException():
            return _framework(request, exc)
        case OperationalError() | InterfaceError() | PoolTimeout():
            log.error("the database refused", path=_template(request), error=exc)
            busy = "the database cannot do this now: send it again"
            return told(errors.Busy(busy, retry_after_secs=2))
    log.error("a request failed", path=_template(request), exc_info=exc)
    return INTERNAL_ERROR, {}


def told(exc: errors.Refused) -> Told:
    """Return what one of our own errors comes to."""
    status = status_of(type(exc))
    size = exc.size if isinstance(exc, errors.SpoolGap) else None
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if isinstance(exc, errors.TooMany):
        headers["Retry-After"] = str(exc.retry_after_secs)
    problem = Problem(
        title=status.phrase,
        status=status,
        code=exc.code,
        detail=exc.detail,
        field=exc.field,
        size=size,
        rule=exc.rule if isinstance(exc, errors.NotCallable) else None,
    )
    return problem, headers


def _framework(request: Request[Any, Any, Any], exc: HTTPException) -> Told:
    """Return what Litestar found: no such path, a body that is too large."""
    status = HTTPStatus(exc.status_code)
    extra = exc.extra if isinstance(exc.extra, list) else []
    first = extra[0] if extra and isinstance(extra[0], dict) else {}
    field = first.get("key")
    detail = str(first.get("message") or exc.detail or status.phrase)
    if field == "data":  # Litestar's name for a body that is not there
        field, detail = None, "the request has no body; this endpoint takes a JSON object"
    if field is not None and first.get("source") == "query":
        return told(_of_query(str(field), detail))
    if (missing := _MISSING.match(str(exc.detail))) is not None:
        name = missing[1]
        return told(errors.BadInput(f"the query parameter {name} is missing; add it", field=name))
    if status is HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}; /schema lists what there is"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} does not work here; /schema lists what does"
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return told(errors.TooLarge("the body is larger than this endpoint takes: send less"))
    code = status.phrase.lower().replace(" ", "_")
    return Problem(status.phrase, status, code, detail, field=field), dict(exc.headers or {})


def _of_query(name: str, message: str) -> errors.BadInput:
    explained = explain(message)
    return errors.BadInput(explained.detail.replace("the body", name, 1), field=name)


def _template(request: Request[Any, Any, Any]) -> str:
    """Return the path as the schema has it: in the real one stand numbers of people."""
    return str(request.scope.get("path_template") or "an unknown path")


def as_problem(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    """Render an error as a problem document."""
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


class ErrorHandler:
    """Tells of errors in one shape.

    Attributes:
        render: makes the response; `shape`: the type of what stands in it.
    """

    def __init__(self, render: Render, shape: type[msgspec.Struct]):
        self.render = render
        self.shape = shape

    def __call__(self, request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
        """Return the response to an error."""
        return self.render(*problem_of(request, exc))


def handlers(render: Render, shape: type[msgspec.Struct]) -> dict[Any, Any]:
    """Return the handlers of every error, for an application or a layer of it.

    An inner layer's come before those of the application, kind by kind; so both name all kinds.

    Args:
        shape: the type that `render` puts into its responses.
    """
    return dict.fromkeys(_KINDS, ErrorHandler(render, shape))


_KINDS = (errors.Refused, HTTPException, OperationalError, InterfaceError, PoolTimeout, Exception)
