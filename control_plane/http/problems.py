"""Errors as problem documents (RFC 9457): the one place where an error gets its HTTP status."""

from __future__ import annotations

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


def status_of(error: type[errors.Refused]) -> HTTPStatus:
    """Return the HTTP status of an error class: its own, or its nearest ancestor's."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def refused(_request: Request[Any, Any, Any], exc: errors.Refused) -> Response[bytes]:
    """Render an error of the domain."""
    status = status_of(type(exc))
    size = exc.size if isinstance(exc, errors.SpoolGap) else None
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if isinstance(exc, errors.TooMany):
        headers["Retry-After"] = str(exc.retry_after_secs)
    return _render(
        Problem(
            title=status.phrase,
            status=status,
            code=exc.code,
            detail=exc.detail,
            field=exc.field,
            size=size,
            rule=exc.rule if isinstance(exc, errors.NotCallable) else None,
        ),
        headers,
    )


def framework(request: Request[Any, Any, Any], exc: HTTPException) -> Response[bytes]:
    """Render an error that Litestar raised: no such path, a body that is too large."""
    status = HTTPStatus(exc.status_code)
    extra = exc.extra if isinstance(exc.extra, list) else []
    first = extra[0] if extra and isinstance(extra[0], dict) else {}
    field = first.get("key")
    detail = str(first.get("message") or exc.detail or status.phrase)
    if field == "data":  # Litestar's name for a body that is not there
        field, detail = None, "the request has no body; this endpoint takes a JSON object"
    if field is not None and first.get("source") == "query":
        return refused(request, _of_query(str(field), detail))
    if status is HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}; /schema lists what there is"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} does not work here; /schema lists what does"
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = "the body is larger than this endpoint takes: send less at once"
    return _render(
        Problem(
            title=status.phrase,
            status=status,
            code=status.phrase.lower().replace(" ", "_"),
            detail=detail,
            field=field,
        ),
        exc.headers or {},
    )


def _of_query(name: str, message: str) -> errors.BadInput:
    explained = explain(message)
    return errors.BadInput(explained.detail.replace("the body", name, 1), field=name)


def database_trouble(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Render a database that cannot write or answer now; the transaction left nothing behind."""
    log.error("the database refused", path=_template(request), error=exc)
    return refused(
        request,
        errors.Busy("the database cannot do this now: send it again", retry_after_secs=2),
    )


def unexpected(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Render a defect of ours: logged whole, told without any of it."""
    log.error("a request failed", path=_template(request), exc_info=exc)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _render(
        Problem(
            title=status.phrase,
            status=status,
            code="internal_error",
            detail="the request failed through a fault of the server; its log says why",
        ),
        {},
    )


def _template(request: Request[Any, Any, Any]) -> str:
    """Return the path as the schema has it: in the real one stand numbers of people."""
    return str(request.scope.get("path_template") or "an unknown path")


def _render(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


HANDLERS: dict[Any, Any] = {
    errors.Refused: refused,
    HTTPException: framework,
    OperationalError: database_trouble,
    InterfaceError: database_trouble,
    PoolTimeout: database_trouble,
    Exception: unexpected,
}
