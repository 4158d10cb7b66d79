"""Any JSON as the values of `{{variables}}`: `{{a.b}}` is the member b of the member a."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

WHOLE = "params"
"""The variable that holds what is no object."""
_ABSENT = object()


def values_of(params: Any, wanted: Iterable[str]) -> dict[str, str]:
    """Return the value of each member of `params`, and of each path of `wanted` that leads to one.

    A text stands as it is, null as nothing, all else as JSON; a list's entries count from 0.
    """
    if params is None:
        return {}
    if not isinstance(params, dict):
        params = {WHOLE: params}
    values = {name: _text(value) for name, value in params.items()}
    for name in wanted:
        if name not in values and (found := _at(params, name)) is not _ABSENT:
            values[name] = _text(found)
    return values


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if step.isascii() and step.isdigit() and len(step) < 7:
                value = value[int(step)] if int(step) < len(value) else _ABSENT
            case _:
                return _ABSENT
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
