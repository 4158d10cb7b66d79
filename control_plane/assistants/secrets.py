"""Where an assistant holds secrets, and the references that stand there once they are sealed.

Secrets are what is declared as `Secret`: such as a custom model's key; of a tool, the value of
every header but the well-known ones that never carry a login, and the values of its query
parameters that look like a credential; addresses, which stand there sealed themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from control_plane.domain.credentials import is_credential
from control_plane.domain.declared import Secret, members, spots
from control_plane.domain.masks import SealedUrl, looks_masked, mask, shown_url
from control_plane.domain.placeholders import names
from control_plane.domain.tools import Pair

S = TypeVar("S", bound=Struct)

PLAIN_HEADERS = frozenset(
    [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "from",
        "prefer",
        "user-agent",
    ]
)
"""Headers whose values are kept and shown as they are."""

_REFERENCE = re.compile(
    r"secret:(?P<id>[0-9a-f-]{36})(?:/(?P<part>\d{1,6}))?"
    r":(?P<hint>.{4}|)(?P<names>(?:\{\{[^{}]+\}\})*)",
    re.DOTALL,
)
_INDEX = re.compile(r"\[\d+\]")


class Reference(Struct, frozen=True):
    """Stands for a sealed secret: its row, what may be shown of it, the variables it names.

    Attributes:
        part: which of several that are sealed together, counted from 0; None: it is alone.
    """

    id: str
    hint: str
    names: tuple[str, ...] = ()
    part: int | None = None

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """Return the reference that `text` is; None when it is none."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            return None
        part = int(found["part"]) if found["part"] is not None else None
        return cls(found["id"], found["hint"], tuple(names(found["names"])), part)

    def __str__(self) -> str:
        key = self.id if self.part is None else f"{self.id}/{self.part}"
        return f"secret:{key}:{self.hint}" + "".join(f"{{{{{name}}}}}" for name in self.names)

    @property
    def masked(self) -> str:
        """What is shown instead of the secret."""
        return mask(self.hint)


class Place(Struct, frozen=True):
    """Where a secret stands: the field's name, and who it is through changes of the order.

    Attributes:
        goes_to: the scheme, host and port that it is sent to.
        is_url: it is an address (`SealedUrl`).
    """

    field: str
    identity: tuple[str, ...]
    goes_to: str
    is_url: bool = False


def find(spec: Struct) -> Iterator[tuple[Place, str]]:
    """Yield each place with what stands there."""
    alike: Counter[tuple[str, ...]] = Counter()
    for spot in spots(spec, Secret):
        owner, kind = spot.owners[-1], _INDEX.sub("", spot.place)
        goes_to = _origin(getattr(owner, spot.mark.goes_to)) if spot.mark.goes_to else ""
        known_by = _known(owner, spot.mark.known_by) if "[" in spot.place else ()
        if spot.mark.of_pairs is None:
            alike[who := (kind, *known_by)] += 1
            identity = (*who, str(alike[who]))
            yield Place(spot.place, identity, goes_to, spot.mark.is_url), spot.value
            continue
        seen: Counter[str] = Counter()
        for number, pair in enumerate(spot.value):
            if _IS_SECRET[spot.mark.of_pairs](pair):
                seen[key := pair.key.lower()] += 1
                identity = (kind, key, str(seen[key]), *known_by)
                yield Place(f"{spot.place}[{number}].value", identity, goes_to), pair.value


def _in_header(pair: Pair) -> bool:
    return bool(pair.value) and pair.key.lower() not in PLAIN_HEADERS


def _in_query(pair: Pair) -> bool:
    # What looks like a reference is sealed, too: it could be somebody else's.
    sealed = Reference.parse(pair.value) is not None
    return sealed or looks_masked(pair.value) or is_credential(pair.key, pair.value)


_IS_SECRET = {"login headers": _in_header, "credentials": _in_query}


def _known(owner: Struct, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what tells `owner` from others: its addresses as they are shown, sealed or not."""
    marks = dict(members(type(owner), Secret))
    values = [(getattr(owner, each), marks.get(each)) for each in names]
    return tuple(shown(each) if mark and mark.is_url else each for each, mark in values)


def shown(url: str) -> str:
    """Return an address as it is shown, be it sealed, in clear, or shown already."""
    sealed = SealedUrl.parse(url)
    return sealed.shown if sealed is not None else shown_url(url)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(shown(url))
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.netloc}".lower()


def put(spec: S, values: Mapping[str, str]) -> S:
    """Return `spec` with `values` at the places that have these fields."""
    put_in: S = _put(spec, values, "") if values else spec
    return put_in


def _put(held: Any, values: Mapping[str, str], place: str) -> Any:
    match held:
        case str():
            return values.get(place, held)
        case tuple():
            return tuple(_put(each, values, f"{place}[{n}]") for n, each in enumerate(held))
        case Pair():
            return Pair(held.key, values.get(f"{place}.value", held.value))
        case Struct():
            at = f"{place}." if place else ""
            inside = [name for name, _ in members(type(held), Secret)]
            changed = {name: _put(getattr(held, name), values, at + name) for name in inside}
            return msgspec.structs.replace(held, **changed)
    return held
