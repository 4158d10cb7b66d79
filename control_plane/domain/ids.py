"""Identifiers: UUIDv7, so that new rows stay at the end of their index."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils

from control_plane.domain.errors import NotFound

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Source:
    """Where fresh identifiers come from; a simulation sets its own, to repeat itself exactly."""

    make: Callable[[], object] = staticmethod(uuid_utils.uuid7)


def new_id() -> str:
    """Return a fresh UUIDv7 in its 36-character form."""
    return str(Source.make())


def first_id_at(instant: datetime) -> str:
    """Return what no id made at `instant` or later is less than (RFC 9562 section 5.7)."""
    milliseconds = f"{(instant - _EPOCH) // timedelta(milliseconds=1):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-0000-0000-000000000000"


def parse_id(text: str, *, what: str, field: str = "id") -> str:
    """Return `text` as a lower-case UUID.

    Raises:
        NotFound: it is not a UUID, so nothing can have it.
    """
    try:
        return str(UUID(text))
    except ValueError as exc:
        raise NotFound(f"there is no {what} with the id {text[:64]!r}", field=field) from exc
