"""What Litestar's OpenAPI document leaves out: our problem documents, what needs no key, bounds."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.typing import FieldDefinition

from control_plane.http.problems import PROBLEM_JSON

_OPEN = "/health"
_BY_PUBLIC_KEY = "/widget"
_METHODS = ("get", "post", "put", "patch", "delete")
_TEXT = Schema(type=OpenAPIType.STRING)
_PROBLEM = Schema(
    title="Problem",
    description="A problem document (RFC 9457); `field` names the part of the request that is "
    "wrong, `detail` says what to do.",
    type=OpenAPIType.OBJECT,
    properties={
        "type": _TEXT,
        "title": _TEXT,
        "status": Schema(type=OpenAPIType.INTEGER),
        "code": _TEXT,
        "detail": _TEXT,
        "field": _TEXT,
    },
    required=["title", "status", "code", "detail"],
)
_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON",
    HTTPStatus.UNAUTHORIZED: "No API key, or one that is not valid",
    HTTPStatus.FORBIDDEN: "The API key lacks the scope",
    HTTPStatus.NOT_FOUND: "There is no such thing in this organization",
    HTTPStatus.CONFLICT: "The thing is not in a state that allows this",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 256 KiB",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A field has a value that cannot be used",
    HTTPStatus.TOO_MANY_REQUESTS: "Too much was asked for; Retry-After says when to ask again",
}
_WITH_BODY = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}


async def describe(app: Litestar) -> None:
    """Write the document, once the application starts; in a thread, since it takes a while."""
    await asyncio.to_thread(_describe, app)


def _describe(app: Litestar) -> None:
    _use_exact_types(app)
    _add_problems(app.openapi_schema)


def _add_problems(document: OpenAPI) -> None:
    """Tell of the errors of every operation, and free the health checks of the key."""
    schemas = document.components.schemas
    document.components.schemas = {**(schemas or {}), "Problem": _PROBLEM}
    for path, item in (document.paths or {}).items():
        for operation in _operations(item):
            if path.startswith((_OPEN, _BY_PUBLIC_KEY)):
                operation.security = []
            if not path.startswith(_OPEN):
                _add(operation)


def _use_exact_types(app: Litestar) -> None:
    """Describe our types as the decoder holds them.

    Litestar drops lower bounds of 0 and what a type forbids, and takes `tuple[X, ...]` for a pair.
    """
    kinds = {
        kind
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema()
        for kind in _structs(handler)
    }
    _, exact = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for schema in exact.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    schemas: dict[str, Any] = {**(app.openapi_schema.components.schemas or {}), **exact}
    app.openapi_schema.components.schemas = schemas


def _structs(handler: HTTPRouteHandler) -> Iterator[type[msgspec.Struct]]:
    waiting = [handler.parsed_data_field, handler.parsed_return_field]
    while waiting:
        field: FieldDefinition | None = waiting.pop()
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, msgspec.Struct):
            yield field.annotation
        waiting += field.inner_types


def _operations(item: PathItem) -> list[Operation]:
    found = (getattr(item, method) for method in _METHODS)
    return [each for each in found if each is not None]


def _add(operation: Operation) -> None:
    responses = dict(operation.responses or {})
    responses.pop(str(HTTPStatus.BAD_REQUEST.value), None)  # Litestar's own form, never sent
    for status, meaning in _MEANINGS.items():
        if operation.request_body is None and status in _WITH_BODY:
            continue
        if operation.security == [] and status is HTTPStatus.UNAUTHORIZED:
            continue
        responses[str(status.value)] = OpenAPIResponse(
            description=meaning,
            content={
                PROBLEM_JSON: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))
            },
        )
    operation.responses = responses
