"""Names of organizations: each is there once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import IntegrityError

from control_plane.domain.errors import Conflict


@contextlib.contextmanager
def named_once() -> Iterator[None]:
    """Write an organization's name here: around the transaction, or a flush.

    Raises:
        Conflict: another organization has it.
    """
    try:
        yield
    except IntegrityError as exc:
        raise Conflict("another organization has this name: choose another", field="name") from exc
