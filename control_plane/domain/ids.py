"""Identifiers: UUIDv7, so that new rows stay at the end of their index."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import uuid_utils

from control_plane.domain.errors import NotFound


class Source:
    """Where fresh identifiers come from; a simulation sets its own, to repeat itself exactly."""

    make: Callable[[], object] = staticmethod(uuid_utils.uuid7)


def new_id() -> str:
    """Return a fresh UUIDv7 in its 36-character form."""
    return str(Source.make())


def parse_id(text: str, *, what: str, field: str = "id") -> str:
    """Return `text` as a lower-case UUID.

    Raises:
        NotFound: it is not a UUID, so nothing can have it.
    """
    try:
        return str(UUID(text))
    except ValueError as exc:
        raise NotFound(f"there is no {what} with the id {text[:64]!r}", field=field) from exc
