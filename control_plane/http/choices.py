"""The values that a field of a request may have, read off its type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

_INDEX = re.compile(r"\[[^\]]*\]")


def choices(kind: Any, path: str) -> list[str]:
    """Return what the field at `path` (`assistant.voice.provider`) of `kind` may be.

    Empty when it is not one of a few words.
    """
    found: list[inspect.Type] = [inspect.type_info(kind)]
    for name in _INDEX.sub("", path).split("."):
        found = [inner for each in found for inner in _inner(each, name)]
    return sorted({word for each in found for word in _words(each)})


def _inner(kind: inspect.Type, name: str) -> Iterator[inspect.Type]:
    for each in _unfolded(kind):
        if not isinstance(each, inspect.StructType):
            continue
        if name == each.tag_field and each.tag is not None:
            yield inspect.LiteralType((each.tag,))
        yield from (field.type for field in each.fields if field.encode_name == name)


def _unfolded(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield what stands behind unions, constraints and lists."""
    match kind:
        case inspect.UnionType(types=types):
            for each in types:
                yield from _unfolded(each)
        case inspect.Metadata(type=inner):
            yield from _unfolded(inner)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            yield from _unfolded(item)
        case _:
            yield kind


def _words(kind: inspect.Type) -> Iterator[str]:
    for each in _unfolded(kind):
        if isinstance(each, inspect.EnumType):
            yield from (str(member.value) for member in each.cls)
        if isinstance(each, inspect.LiteralType):
            yield from (str(value) for value in each.values)
