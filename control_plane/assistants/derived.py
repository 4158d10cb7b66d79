"""Requests and answers about what is declared once: its settings, and fields of their own."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import NoneType
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType

from control_plane.domain.declared import Setting, settings_of

S = TypeVar("S", bound=Struct)


def request_for(declared: type[Struct]) -> Callable[[type[S]], type[S]]:
    """Give a request the settings of `declared`: absent leaves one as it is, null is the default.

    The class may name one itself, to say that it is required, or what it is when it is absent.
    """
    return lambda kind: _extended(kind, {n: _asked(s) for n, s in settings_of(declared).items()})


def answer_with(declared: type[Struct]) -> Callable[[type[S]], type[S]]:
    """Give an answer the settings of `declared`; all of them are always there.

    One that the class names itself has the type that it says there.
    """
    types = {name: each.type for name, each in settings_of(declared).items()}

    def extend(kind: type[S]) -> type[S]:
        own = get_type_hints(kind, include_extras=True)
        return _extended(kind, {name: (each, NODEFAULT) for name, each in (types | own).items()})

    return extend


def _extended(kind: type[S], settings: dict[str, tuple[Any, Any]]) -> type[S]:
    hints, fields = get_type_hints(kind, include_extras=True), {}
    for own in msgspec.structs.fields(kind):
        fields[own.name] = (settings.pop(own.name, [hints[own.name]])[0], own.default)
    made = msgspec.defstruct(
        kind.__name__,
        [(n, t) if d is NODEFAULT else (n, t, d) for n, (t, d) in (fields | settings).items()],
        module=kind.__module__,
        namespace={"__doc__": kind.__doc__},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=kind.__struct_config__.forbid_unknown_fields,
    )
    return cast(type[S], made)


def _asked(setting: Setting) -> tuple[Any, Any]:
    some = [each for each in get_args(setting.type) if each is not NoneType]
    nullable = NoneType in get_args(setting.type)
    asked = setting.asked.kind or (
        functools.reduce(operator.or_, some) if nullable else setting.type
    )
    if setting.asked.bounds is not None:
        asked = Annotated[asked, setting.asked.bounds]
    return (asked if setting.default is NODEFAULT else asked | None) | UnsetType, UNSET
