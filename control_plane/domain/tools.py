"""HTTP tools that the model can call, and the typed fields it fills: for tools and after calls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from control_plane.domain.credentials import check_json_keeps_none, check_sent_to
from control_plane.domain.declared import Secret, Template
from control_plane.domain.errors import BadInput
from control_plane.domain.placeholders import fill

RESERVED = frozenset(["collect_digits", "end_call", "send_dtmf", "skip_turn", "transfer_call"])
"""Names of the tools that an agent has by itself."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FILLER = "1"  # a value that is valid within quotes, without, and as a port


class FieldType(StrEnum):
    """What a field holds."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"
    DATE = "date"
    DATETIME = "datetime"


class DataField(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that the model takes from the conversation.

    `enum_options` are what the type enum chooses from; beside another type they mean nothing.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    required: bool
    type: FieldType
    description: Annotated[str, Meta(max_length=5_000)] | None = None
    enum_options: (
        Annotated[tuple[Annotated[str, Meta(max_length=500)], ...], Meta(max_length=500)] | None
    ) = None


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    """A header or a query parameter; the value may hold placeholders."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    value: Annotated[str, Meta(max_length=10_000), Template()]


class CustomTool(Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP endpoint that the model calls with arguments from the conversation.

    `url`, header and query values and `body_template` may hold `{{name}}` of an argument or of a
    prompt variable. An empty `body_template` sends no body.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: Annotated[str, Meta(min_length=1, max_length=5_000)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: Annotated[
        str,
        Meta(min_length=1, max_length=5_000),
        Template(),
        Secret(known_by=("name",), is_url=True),
    ]
    headers: Annotated[
        tuple[Pair, ...], Meta(max_length=100), Secret("url", ("name",), "login headers")
    ]
    query_params: Annotated[
        tuple[Pair, ...], Meta(max_length=100), Secret("url", ("name",), "credentials")
    ]
    body_template: Annotated[str, Meta(max_length=50_000), Template()]
    input_schema: Annotated[tuple[DataField, ...], Meta(max_length=100)]


def check_tools(tools: Sequence[CustomTool], *, field: str) -> None:
    """Find out whether every one of `tools` can be called.

    Raises:
        BadInput: naming the part that cannot be used.
    """
    _check_unique([tool.name for tool in tools], field=field)
    for index, tool in enumerate(tools):
        _check_tool(tool, f"{field}[{index}]")


def check_fields(fields: Sequence[DataField], *, field: str) -> None:
    """Find out whether `fields` have names of their own, and options where the type needs them.

    Raises:
        BadInput: naming the part that cannot be used.
    """
    _check_unique([each.name for each in fields], field=field)
    for index, each in enumerate(fields):
        where = f"{field}[{index}].enum_options"
        if each.type is FieldType.ENUM and not each.enum_options:
            raise _refusal(where, "is what the type enum chooses from: give at least one option")
        if len(set(each.enum_options or ())) != len(each.enum_options or ()):
            raise _refusal(where, "names an option twice: name each once")


def _check_tool(tool: CustomTool, field: str) -> None:
    if _NAME.fullmatch(tool.name) is None:
        raise _refusal(f"{field}.name", "is not lowercase_snake_case, such as check_inventory")
    if tool.name in RESERVED:
        raise _refusal(
            f"{field}.name", "is a tool that agents have by themselves: choose another name"
        )
    check_sent_to(
        tool.url, field=f"{field}.url", remedy="move it to query_params or headers, which hide it"
    )
    for index, header in enumerate(tool.headers):
        where = f"{field}.headers[{index}]"
        if _TOKEN.fullmatch(header.key) is None:
            raise _refusal(f"{where}.key", "is not a header name, such as X-Api-Key")
        if _HEADER_VALUE.fullmatch(fill(header.value, {}, missing=_FILLER)) is None:
            raise _refusal(f"{where}.value", "holds more than plain ASCII text: remove the rest")
    _check_body(tool.body_template, f"{field}.body_template")
    check_fields(tool.input_schema, field=f"{field}.input_schema")


def _check_body(template: str, field: str) -> None:
    if not template.strip():
        return
    try:
        decoded = msgspec.json.decode(fill(template, {}, missing=_FILLER))
    except RecursionError as exc:
        raise _refusal(field, "is nested too deeply") from exc
    except msgspec.DecodeError as exc:
        raise _refusal(
            field,
            'is not JSON once its placeholders are filled; write them as "{{name}}", in quotes: '
            f"{exc}",
        ) from exc
    check_json_keeps_none(decoded, field=field, remedy="move it to headers, where it is sealed")


def _check_unique(names: Sequence[str], *, field: str) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _refusal(f"{field}[{index}].name", "is there twice: names must differ")


def _refusal(field: str, what: str) -> BadInput:
    return BadInput(f"{field} {what}", field=field)
