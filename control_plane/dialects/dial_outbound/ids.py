"""Ids of 24 characters: two that say of what, and the UUID in base64url (RFC 4648 section 5)."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterator
from enum import StrEnum
from uuid import UUID

from control_plane.domain.errors import NotFound

LENGTH = 24
_MARK = 2


class Kind(StrEnum):
    """What an id is of; its value begins the id."""

    CALL = "ca"
    ORGANIZATION = "or"
    NUMBER = "nu"
    USE_CASE = "uc"
    AGENT = "ag"
    MODEL = "mo"
    PROMPT = "pr"
    CAMPAIGN = "cp"

    @property
    def words(self) -> str:
        """`USE_CASE` → `use case`."""
        return self.name.lower().replace("_", " ")


def short(kind: Kind, native: str) -> str:
    """Return a native id in its 24 characters."""
    return kind.value + base64.urlsafe_b64encode(UUID(native).bytes).rstrip(b"=").decode()


def native(kind: Kind, given: str, *, field: str) -> str:
    """Return the native id behind the 24 characters that `short` made.

    Raises:
        NotFound: it is none, or of something else.
    """
    wrong = _missing(kind, given, field)
    if len(given) != LENGTH or not given.startswith(kind.value) or not given.isascii():
        raise wrong
    try:
        raw = base64.b64decode(f"{given[_MARK:]}==", altchars=b"-_", validate=True)
        found = str(UUID(bytes=raw))
    except (binascii.Error, ValueError) as exc:
        raise wrong from exc
    if short(kind, found) != given:  # the last character has room for more than one spelling
        raise wrong
    return found


@contextlib.contextmanager
def naming(kind: Kind, given: str, *, field: str) -> Iterator[str]:
    """Yield the native id; that there is no such thing is told by the id that was given.

    Raises:
        NotFound: it is no id, or what is done with it inside found nothing.
    """
    key = native(kind, given, field=field)
    try:
        yield key
    except NotFound as exc:
        raise _missing(kind, given, field) from exc


def _missing(kind: Kind, given: str, field: str) -> NotFound:
    told = f"{field}: there is no {kind.words} with the id {given[:64]!r}"
    return NotFound(f"{told}; GET /dial/ids lists them", field=field)
