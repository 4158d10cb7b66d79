"""What a list is narrowed by, as its query gives it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from litestar.params import QueryParameter

from control_plane.domain.errors import BadInput

Metadata = Annotated[
    list[str] | None, QueryParameter(description="name:value that the metadata holds; all of them")
]
CreatedAfter = Annotated[datetime | None, QueryParameter(description="From then")]
CreatedBefore = Annotated[datetime | None, QueryParameter(description="Until then")]
E = TypeVar("E", bound=StrEnum)


def pair(text: str) -> tuple[str, str]:
    """Return the name and the value that metadata is to hold.

    Raises:
        BadInput: there is no colon between them, or no name.
    """
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise BadInput("write metadata as name:value, such as city:Berlin", field="metadata")
    return name, value


def instant(given: datetime | None, field: str) -> datetime | None:
    """Return `given`, which must say its zone.

    Raises:
        BadInput: it does not.
    """
    if given is not None and given.tzinfo is None:
        raise BadInput(f"{field} needs a zone: write it as 2026-01-31T12:00:00Z", field=field)
    return given


def one_of(kind: type[E], word: str, field: str) -> E:
    """Return the member of `kind` that `word` names.

    Raises:
        BadInput: it names none.
    """
    try:
        return kind(word)
    except ValueError as exc:
        raise BadInput(f"{field} is one of {', '.join(kind)}", field=field) from exc
