"""What clients say and see of the lists."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

MOST_NUMBERS = 10_000
MOST_ERRORS = 1_000
Written = Annotated[str, Meta(max_length=100, examples=["+12025550123"])]
Numbers = Annotated[list[Written], Meta(min_length=1, max_length=MOST_NUMBERS)]
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]


class DoNotCallAdd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that must not be called any more: `phone_number`, `phone_numbers` or both."""

    phone_number: Written | None = None
    phone_numbers: Numbers | None = None
    reason: Text | None = None


class ConsentAdd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who agreed to be called: `basis` says how that is known; `given_at` null means now."""

    phone_number: Written | None = None
    phone_numbers: Numbers | None = None
    basis: Text
    given_at: Annotated[datetime, Meta(tz=True)] | None = None


class LineError(Struct, frozen=True, kw_only=True):
    """A line that was not taken, and why."""

    line: int
    detail: str


class Added(Struct, frozen=True, kw_only=True):
    """What became of an upload; the first errors are listed.

    `known` were there already. When the file broke off, `complete` is false: the lines before
    were taken.
    """

    added: int
    known: int
    refused: int = 0
    complete: bool = True
    errors: list[LineError] = []


class DoNotCallView(Struct, frozen=True, kw_only=True):
    """A number that is not called; `source` is `api`, or the SIP answer that asked for it."""

    id: str
    phone_number: str
    reason: str | None
    source: str
    created_at: datetime


class DoNotCallPage(Struct, frozen=True):
    """Numbers, newest first; `next_cursor` is null on the last page."""

    numbers: list[DoNotCallView]
    next_cursor: str | None


class ConsentView(Struct, frozen=True, kw_only=True):
    """An agreement; once revoked it is kept, and counts no more."""

    id: str
    phone_number: str
    basis: str
    given_at: datetime
    revoked_at: datetime | None
    created_at: datetime


class ConsentPage(Struct, frozen=True):
    """Agreements, newest first; `next_cursor` is null on the last page."""

    consents: list[ConsentView]
    next_cursor: str | None


class Revoked(Struct, frozen=True):
    """How many agreements count no more."""

    revoked: int
