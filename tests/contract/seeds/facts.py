"""What the Revox reference says, walked: values that fit, values at and past each bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, inspect

Node = dict[str, Any]
FACTS: Node = json.loads(Path(__file__).with_name("revox.json").read_text())
REQUEST: Node = FACTS["request"]
ASSISTANT: Node = REQUEST["assistant"]["fields"]
RESPONSE: Node = FACTS["response"]

NUMBER = "+12025550123"
OURS = "+12025550199"

VALUES = {
    "phone_number": NUMBER,
    "from_phone_number": OURS,
    "transfer_phone_number": NUMBER,
    "webhook_url": "https://example.com/hook",
    "scheduled_at": "2099-01-01T10:00:00Z",
    "timezone": "Europe/Paris",
    "calling_window_start_time": "9:30am",
    "calling_window_end_time": "18:00",
    "url": "https://example.com/{{name}}",
    "body_template": '{"name": "{{name}}"}',
    "key": "X-Key",
    "description": "What it does.",
    "max_call_duration_secs": 300.0,
    "speed": 1.1,
}
"""Where the reference says no more than `string` or `number` and means more."""
_FORMATS = {
    "uri": "https://example.com/v1",
    "email": "ann@example.com",
    "uuid": "00000000-0000-7000-8000-000000000000",
}
_STEP = 0.0001


class Try(Struct, frozen=True):
    """A value for one member of a field, and whether the reference allows it."""

    path: str
    value: Any
    allowed: bool


def sample(node: Node, name: str = "") -> Any:
    """Return a value that fits `node`, the member called `name`."""
    match node["type"]:
        case "object":
            return {each: sample(inner, each) for each, inner in node["fields"].items()}
        case "array":
            return [sample(node["items"], name)]
        case "union":
            return sample(node["members"][0], name)
        case "map":
            return {"name": "Ann"}
        case "boolean":
            return True
    if "enum" in node:
        return node["enum"][0]
    if name in VALUES:
        return VALUES[name]
    if node["type"] == "number":
        return float(node.get("maximum", 7))  # a number may be written with its point
    return _FORMATS.get(node.get("format", ""), "string")


def words(node: Node, path: str, whole: Any) -> Iterator[tuple[str, Any]]:
    """Yield each word that a member of the field at `path` may be, and the field with it."""
    for where, leaf, put in _leaves(node, path, whole):
        for word in leaf.get("enum", []):
            yield where, put(word)


def tries(node: Node, path: str, whole: Any) -> Iterator[Try]:
    """Yield the field at `path` with each member at, under and over its bounds."""
    for where, leaf, put in _leaves(node, path, whole):
        whole_numbers = not isinstance(leaf.get("minimum", 0), float) and "maximum" in leaf
        step = 1 if whole_numbers and leaf["maximum"] > 2 else _STEP
        if "minimum" in leaf:
            yield Try(where, put(leaf["minimum"]), True)
            yield Try(where, put(leaf["minimum"] - step), False)
        if "exclusiveMinimum" in leaf:
            yield Try(where, put(leaf["exclusiveMinimum"] + 1), True)
            yield Try(where, put(leaf["exclusiveMinimum"]), False)
            yield Try(where, put(leaf["exclusiveMinimum"] - 1), False)
        if "maximum" in leaf:
            yield Try(where, put(leaf["maximum"]), True)
            yield Try(where, put(leaf["maximum"] + step), False)
        if "minLength" in leaf:
            yield Try(where, put(""), False)
            name = where.rpartition(".")[2]
            if name not in VALUES and "format" not in leaf:
                yield Try(where, put("x"), True)
        elif _is_free(leaf):
            yield Try(where, put(""), where != "phone_number")  # nobody can be called there
        if "maxLength" in leaf:
            yield Try(where, put("x" * leaf["maxLength"]), True)
            yield Try(where, put("x" * (leaf["maxLength"] + 1)), False)
        if "enum" in leaf:
            yield Try(where, put("acme"), False)


def _is_free(leaf: Node) -> bool:
    """Return whether the reference calls it a text and says nothing of how long or of what form."""
    return leaf["type"] == "string" and not {"enum", "format", "minLength"} & set(leaf)


def _leaves(node: Node, path: str, whole: Any) -> Iterator[tuple[str, Node, Any]]:
    """Yield path and node of each leaf, and what returns `whole` with another value there."""
    match node["type"]:
        case "object":
            for name, inner in node["fields"].items():
                if name not in whole:
                    continue
                for where, leaf, put in _leaves(inner, f"{path}.{name}", whole[name]):
                    yield where, leaf, lambda v, n=name, p=put: {**whole, n: p(v)}
        case "array":
            for where, leaf, put in _leaves(node["items"], f"{path}[0]", whole[0]):
                yield where, leaf, lambda v, p=put: [p(v)]
        case "union":
            for member in node["members"]:
                if member["type"] == "object":
                    yield from _leaves(member, path, sample(member))
        case _:
            yield path, node, lambda v: v


def differences(node: Node, kind: inspect.Type, path: str) -> Iterator[str]:
    """Yield where a type of ours is not what the reference says."""
    kinds = list(_plain(kind))
    match node["type"]:
        case "unknown":
            return
        case "union":
            for index, member in enumerate(node["members"]):
                if all(list(differences(member, each, path)) for each in kinds):
                    yield f"{path}: nothing of ours is member {index}"
        case "object":
            yield from _object_differences(node, kinds, path)
        case "array":
            items = [each.item_type for each in kinds if hasattr(each, "item_type")]
            if not items:
                yield f"{path}: not a list"
            for item in items:
                yield from differences(node["items"], item, f"{path}[]")
        case other:
            yield from _leaf_differences(node, kinds, path, _LEAVES[other])


_LEAVES: dict[str, tuple[type[inspect.Type], ...]] = {
    "string": (inspect.StrType, inspect.EnumType, inspect.LiteralType),
    "number": (inspect.IntType, inspect.FloatType),
    "boolean": (inspect.BoolType,),
    "map": (inspect.DictType,),
}


def _object_differences(node: Node, kinds: list[inspect.Type], path: str) -> Iterator[str]:
    structs = [each for each in kinds if isinstance(each, inspect.StructType)]
    if len(structs) != 1:
        yield f"{path}: not one object"
        return
    fields = {field.encode_name: field.type for field in structs[0].fields}
    if structs[0].tag_field is not None:
        fields[structs[0].tag_field] = inspect.LiteralType((structs[0].tag,))
    for name, inner in node["fields"].items():
        if name not in fields:
            yield f"{path}.{name}: missing"
        else:
            yield from differences(inner, fields[name], f"{path}.{name}")


def _leaf_differences(
    node: Node, kinds: list[inspect.Type], path: str, fitting: tuple[type[inspect.Type], ...]
) -> Iterator[str]:
    if not kinds or not any(isinstance(each, fitting) for each in kinds):
        yield f"{path}: ours is no {node['type']}"
    if "enum" in node:
        ours = {word for each in kinds for word in _words(each)}
        if ours != set(node["enum"]):
            yield f"{path}: the words differ by {sorted(ours ^ set(node['enum']))}"


def _plain(kind: inspect.Type) -> Iterator[inspect.Type]:
    match kind:
        case inspect.Metadata(type=inner):
            yield from _plain(inner)
        case inspect.UnionType(types=types):
            for each in types:
                yield from _plain(each)
        case inspect.NoneType():
            return
        case _:
            yield kind


def _words(kind: inspect.Type) -> set[str]:
    if isinstance(kind, inspect.EnumType):
        return {str(member.value) for member in kind.cls}
    return {str(value) for value in getattr(kind, "values", ())}
