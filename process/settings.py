"""Settings: frozen structs filled from the environment, once, in a process's `__main__`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting is missing or has the wrong form."""


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """Return `kind` filled from `environ`; each field's encoded name is its variable's name.

    Raises:
        SettingsError: naming the variable and what it must be.
    """
    given = {name: value for name, value in environ.items() if value != ""}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as exc:
        raise SettingsError(_explain(kind, str(exc))) from exc


def _explain(kind: type[msgspec.Struct], message: str) -> str:
    """`Expected `int`, got `str` - at `$.PORT`` → `PORT: expected int, got str`."""
    text, _, path = message.partition(" - at `$.")
    if path:
        return f"{path.rstrip('`')}: {text[:1].lower()}{text[1:].replace('`', '')}"
    if "missing required field" in message:
        name = message.rsplit("`", 2)[-2]
        return f"{name} is not set, and {kind.__module__} cannot start without it"
    return message
