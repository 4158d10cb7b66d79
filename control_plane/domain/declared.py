"""What is declared of a setting once, in its type, and where what is declared stands in a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

M = TypeVar("M", bound=Struct)


class Support(Struct, frozen=True):
    """The code that makes a setting change a call; None: it is kept, and the code comes later."""

    place: str | None


class Asked(Struct, frozen=True):
    """How requests give a setting; what is stored is not held to it, since rows outlive bounds.

    Attributes:
        kind: stands for its type; a member that is null there has its default.
        read: returns a text in the form that is kept, or raises `BadInput`.
        check: raises `BadInput` for a value that cannot be acted on.
    """

    bounds: Meta | None = None
    kind: Any = None
    read: Callable[..., str] | None = None
    check: Callable[..., None] | None = None
    empty_is_none: bool = False


def up_to(most: int, kind: Any = None, *, check: Callable[..., None] | None = None) -> Asked:
    """Return the bound of a text in characters, of a list in entries."""
    return Asked(Meta(max_length=most), kind, check=check)


def between(least: int, most: int) -> Asked:
    """Return the bounds of a number, both within."""
    return Asked(Meta(ge=least, le=most))


class Template(Struct, frozen=True):
    """A text with variables; those of `known` have a value there anyway."""

    known: frozenset[str] = frozenset()


class Secret(Struct, frozen=True):
    """A text that is sealed in a row of its own, or the values of some key-value pairs.

    Attributes:
        goes_to: the member beside it that holds the URL that it is sent to.
        known_by: the members beside it that tell it from others of its list.
        is_url: it is an address: sealed where it stands, its host shown.
    """

    goes_to: str | None = None
    known_by: tuple[str, ...] = ()
    of_pairs: Literal["login headers", "credentials"] | None = None
    is_url: bool = False


class Setting(Struct, frozen=True):
    """One field as it was declared; `type` without what was declared beside it."""

    type: Any
    default: Any
    support: str | None
    asked: Asked

    def kept(self, given: Any, place: str) -> Any:
        """Return what a request gave in the form that is stored.

        Raises:
            BadInput: it cannot be read; names `place`.
        """
        if self.asked.read is not None:
            return self.asked.read(given, field=place)
        if self.asked.kind is not None:
            return msgspec.convert(_without_nulls(msgspec.to_builtins(given)), self.type)
        return given


@cache
def settings_of(kind: type[Struct]) -> Mapping[str, Setting]:
    """Return the settings of `kind` by name; every field of it has to be declared as one."""
    found, hints = {}, get_type_hints(kind, include_extras=True)
    for each in msgspec.structs.fields(kind):
        hint, made = hints[each.name], each.default_factory
        if not (support := _marks(hint, Support)):
            raise TypeError(f"{kind.__name__}.{each.name} does not say where it is supported")
        asked = _marks(hint, Asked) or [Asked()]
        default = each.default if made is NODEFAULT else made()
        found[each.name] = Setting(hint.__origin__, default, support[0].place, asked[0])
    return found


def not_yet_supported(spec: Struct) -> list[str]:
    """Return the settings that differ from their default and change nothing yet, by name."""
    pending = _pending(type(spec))
    return sorted(name for name, default in pending if getattr(spec, name) != default)


@cache
def _pending(kind: type[Struct]) -> list[tuple[str, Any]]:
    return [(n, each.default) for n, each in settings_of(kind).items() if each.support is None]


class Spot(Struct, Generic[M], frozen=True):
    """What carries a mark, at a place such as `custom_tools[0].url`; `owners`: outermost first."""

    place: str
    value: Any
    mark: M
    owners: tuple[Struct, ...]


def spots(
    owner: Struct, mark: type[M], within: str = "", owners: tuple[Struct, ...] = ()
) -> Iterator[Spot[M]]:
    """Yield whatever carries a `mark` in its type, at any depth, unless it is none or empty."""
    for name, own in members(type(owner), mark):
        value, place = getattr(owner, name), f"{within}{name}"
        if own is not None and value:
            yield Spot(place, value, own, (*owners, owner))
        elif value:
            listed = isinstance(value, tuple)
            for n, each in enumerate(value if listed else (value,)):
                if not isinstance(each, Struct):
                    raise TypeError(f"{place}: a {type(each).__name__} is not looked into")
                at = f"{place}[{n}]." if listed else f"{place}."
                yield from spots(each, mark, at, (*owners, owner))


@cache
def members(kind: type[Struct], mark: type[M]) -> tuple[tuple[str, M | None], ...]:
    """Return the members that carry a `mark`, and without one those that lead to such members."""
    found: list[tuple[str, M | None]] = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        own = _marks(hint, mark)
        if own or any(members(each, mark) for each in _structs(hint)):
            found.append((name, own[0] if own else None))
    return tuple(found)


def _marks(hint: Any, mark: type[M]) -> list[M]:
    own = hint.__metadata__ if get_origin(hint) is Annotated else ()
    inner = [each for part in get_args(hint) for each in _marks(part, mark)]
    return inner + [each for each in own if isinstance(each, mark)]


def _structs(hint: Any) -> Iterator[type[Struct]]:
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for part in get_args(hint):
        yield from _structs(part)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_without_nulls(each) for each in value)
    return {name: each for name, each in value.items() if each is not None}
