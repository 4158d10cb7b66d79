"""The errors that the OpenAPI documents tell of: each rendered as a client will meet it.

What every operation may answer follows from what it is: whether it needs a key, has a body, forbids
unknown query parameters. What only some answer, their handlers name: `opt={"raises": (Error, …)}`.
"""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import Struct

from control_plane.domain import errors
from control_plane.http.problems import INTERNAL_ERROR, ErrorHandler, Told, told
from control_plane.http.requests import known_query

_ALWAYS = (
    errors.NotFound,
    errors.Conflict,
    errors.BadInput,
    errors.BadPhoneNumber,
    errors.TooMany,
    errors.Busy,
)
_WITH_KEY = (errors.NotAuthenticated, errors.NotAllowed)
_WITH_BODY = (errors.Refused, errors.TooLarge)
_RETRY_AFTER = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.INTEGER), description="Seconds until it may be asked again"
)
_OF_AGENTS = {errors.TokenUsed, errors.StaleEpoch, errors.SpoolGap}
"""Met at the internal listener alone."""


def _tree(kind: type[errors.Refused]) -> list[type[errors.Refused]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _tree(child))]


CODES = {each.code for each in _tree(errors.Refused) if each not in _OF_AGENTS} | {
    INTERNAL_ERROR.code
}
"""Every code that a problem document may have."""


def shape_of(handler: HTTPRouteHandler) -> type[Struct]:
    """Return the type of a handler's errors."""
    return _teller(handler).shape


def error_responses(
    handler: HTTPRouteHandler, *, has_body: bool, needs_key: bool
) -> dict[str, OpenAPIResponse]:
    """Return the errors of an operation by their statuses, with an example of each."""
    teller = _teller(handler)
    by_status: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    media: dict[int, str] = {}
    for problem, headers in _all(handler, has_body=has_body, needs_key=needs_key):
        rendered = teller.render(problem, headers)
        status = rendered.status_code or HTTPStatus.INTERNAL_SERVER_ERROR
        media[status] = str(getattr(rendered.media_type, "value", rendered.media_type))
        value = msgspec.json.decode(rendered.content)
        by_status[status][problem.code] = Example(summary=problem.detail, value=value)
    return {
        str(status): _response(status, media[status], teller.shape, by_status[status])
        for status in sorted(by_status)
    }


def _all(handler: HTTPRouteHandler, *, has_body: bool, needs_key: bool) -> list[Told]:
    kinds = [*_ALWAYS, *(_WITH_KEY if needs_key else ()), *(_WITH_BODY if has_body else ())]
    if known_query in handler.resolve_guards():
        kinds.append(errors.UnknownField)
    kinds += handler.opt.get("raises", ())
    found = [told(_example(kind)) for kind in dict.fromkeys(kinds)]
    return [*found, (INTERNAL_ERROR, {})]


def _example(kind: type[errors.Refused]) -> errors.Refused:
    says = (kind.__doc__ or "").partition("\n")[0]
    if issubclass(kind, errors.TooMany):
        return kind(says, retry_after_secs=2)
    if issubclass(kind, errors.NotCallable):
        return kind(says, field="phone_number", rule="do_not_call")
    return kind(says)


def _response(
    status: int, media: str, shape: type[Struct], examples: dict[str, Any]
) -> OpenAPIResponse:
    schema = Reference(ref=f"#/components/schemas/{shape.__name__}")
    again = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    return OpenAPIResponse(
        description=" ".join(each.summary for each in examples.values()),
        content={media: OpenAPIMediaType(schema=schema, examples=examples)},
        headers={"Retry-After": _RETRY_AFTER} if again else None,
    )


def _teller(handler: HTTPRouteHandler) -> ErrorHandler:
    found = handler.resolve_exception_handlers()[errors.Refused]
    assert isinstance(found, ErrorHandler)
    return found
