"""What Litestar's OpenAPI document leaves out: exact types, every error, examples, event streams.

An example is what a server answered to a request that it took: tests/api_examples.py records them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example as Named
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.response import Stream
from litestar.typing import FieldDefinition
from msgspec import UNSET, Struct, UnsetType

from control_plane.http.documented_errors import CODES, error_responses, shape_of
from control_plane.http.streams import EVENT_STREAM

_OPEN = "/health"
_BY_PUBLIC_KEY = "/widget"
_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = "application/json"


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    """An operation as it was used: its parameters by name, its body, and what was answered."""

    parameters: dict[str, Any] = {}
    body: Any | UnsetType = UNSET
    status: int | UnsetType = UNSET
    answer: Any | UnsetType = UNSET


class Verbatim:
    """A value that a document shows as it is: Litestar leaves nulls out of what it knows."""

    def __init__(self, value: Any):
        self.value = value


ENCODERS = {Verbatim: lambda shown: shown.value}
"""What an application with a document takes for its `type_encoders`."""


def describe(app: Litestar, examples: Path) -> None:
    """Complete the document of an application; this takes a while.

    Args:
        examples: a file of `Example`s by operation id.
    """
    _use_exact_types(app)
    shown = msgspec.json.decode(examples.read_bytes(), type=dict[str, Example])
    handlers = {str(each.operation_id): each for each in _handlers(app)}
    for path, item in (app.openapi_schema.paths or {}).items():
        for operation in operations(item):
            if path.startswith((_OPEN, _BY_PUBLIC_KEY)):
                operation.security = []
            name = str(operation.operation_id)
            _describe_streams(operation, handlers[name])
            if not path.startswith(_OPEN):
                _describe_errors(operation, handlers[name])
            _show(operation, shown.get(name, Example()))


def operations(item: PathItem) -> list[Operation]:
    """Return the operations of a path."""
    found = (getattr(item, method) for method in _METHODS)
    return [each for each in found if each is not None]


def _use_exact_types(app: Litestar) -> None:
    """Describe our types as the decoder holds them.

    Litestar drops lower bounds of 0 and what a type forbids, and takes `tuple[X, ...]` for a pair.
    """
    kinds = {kind for handler in _handlers(app) for kind in _structs(handler)}
    _, exact = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for schema in exact.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    # `{"enum": [true]}` alone is a type to no generator of clients.
    exact = _typed(exact)
    code = exact.get("Problem", {}).get("properties", {}).get("code")
    if code is not None:  # one that a client does not know yet is no fault of its
        code.clear()
        code["anyOf"] = [{"$ref": "#/components/schemas/ErrorCode"}, {"type": "string"}]
        exact["ErrorCode"] = {"title": "ErrorCode", "type": "string", "enum": sorted(CODES)}
    schemas: dict[str, Any] = {**(app.openapi_schema.components.schemas or {}), **exact}
    app.openapi_schema.components.schemas = schemas


def _handlers(app: Litestar) -> list[HTTPRouteHandler]:
    return [
        handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema()
    ]


def _structs(handler: HTTPRouteHandler) -> Iterator[type[Struct]]:
    yield shape_of(handler)
    waiting = [handler.parsed_data_field, handler.parsed_return_field]
    while waiting:
        field: FieldDefinition | None = waiting.pop()
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, Struct):
            yield field.annotation
        waiting += field.inner_types


def _typed(schema: Any) -> Any:
    match schema:
        case {"enum": [bool(), *_], **rest} if "type" not in rest:
            return {**schema, "type": "boolean"}
        case dict():
            return {name: _typed(each) for name, each in schema.items()}
        case list():
            return [_typed(each) for each in schema]
    return schema


def _describe_streams(operation: Operation, handler: HTTPRouteHandler) -> None:
    """Add the form that an operation answers in besides JSON, where it says so by its type."""
    kinds = get_args(handler.parsed_return_field.annotation)
    if Stream not in kinds:
        return
    [page] = [get_args(each)[0] for each in kinds if get_args(each)]
    ref = {"$ref": f"#/components/schemas/{page.__name__}"}
    text = Schema(type=OpenAPIType.STRING, description="Server-sent events")
    operation.responses = {
        **(operation.responses or {}),
        str(HTTPStatus.OK.value): OpenAPIResponse(
            description="What happened so far, or everything as it happens",
            content={
                _JSON: OpenAPIMediaType(schema=ref),  # type: ignore[arg-type]
                EVENT_STREAM: OpenAPIMediaType(schema=text),
            },
        ),
    }


def _describe_errors(operation: Operation, handler: HTTPRouteHandler) -> None:
    responses = dict(operation.responses or {})
    responses.pop(str(HTTPStatus.BAD_REQUEST.value), None)  # Litestar's own form, never sent
    described = error_responses(
        handler,
        has_body=operation.request_body is not None,
        needs_key=operation.security != [],
    )
    for status, response in described.items():
        for media in (response.content or {}).values():
            for each in (media.examples or {}).values():
                if isinstance(each, Named):
                    each.value = Verbatim(each.value)
        before = responses.get(status)
        if before is None or status != str(HTTPStatus.OK.value):
            responses[status] = response
        elif isinstance(before, OpenAPIResponse):
            before.content = {**(before.content or {}), **(response.content or {})}
    operation.responses = responses


def _show(operation: Operation, example: Example) -> None:
    for parameter in operation.parameters or ():
        name = getattr(parameter, "name", None)
        if name in example.parameters:
            parameter.example = example.parameters[name]  # type: ignore[union-attr]
    if isinstance(operation.request_body, RequestBody) and example.body is not UNSET:
        _set(operation.request_body.content, example.body)
    response = (operation.responses or {}).get(str(example.status))
    if isinstance(response, OpenAPIResponse) and example.answer is not UNSET:
        _set(response.content or {}, example.answer)


def _set(content: dict[str, OpenAPIMediaType], value: Any) -> None:
    media = content.get(_JSON)
    if media is None:
        return
    if media.examples:  # errors that a dialect answers with 200
        media.examples = {"answer": Named(value=Verbatim(value)), **media.examples}
    else:
        media.example = Verbatim(value)
