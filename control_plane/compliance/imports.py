"""Numbers on their way into the lists: from JSON at once, from a file piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from sqlalchemy.exc import IntegrityError

from control_plane.compliance import lists
from control_plane.compliance.schemas import (
    MOST_ERRORS,
    MOST_NUMBERS,
    Added,
    ConsentAdd,
    DoNotCallAdd,
    LineError,
)
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.domain.errors import BadInput, Conflict, Refused
from control_plane.domain.phone import e164
from control_plane.http.uploads import BrokenFile, Row, table

_CHUNK = 500
"""Lines in one transaction: long enough to be cheap, short enough to let others write."""

_BREATH = 100
_LONGEST = 1_000


class Entry(Struct, frozen=True):
    """A number with why it is on the list; `given_at` null means now."""

    number: str
    text: str | None
    given_at: datetime | None = None


class ComplianceList:
    """One organization's list of numbers, do-not-call or consents, as it is added to."""

    def __init__(self, database: Database, organization_id: str, *, consents: bool):
        self._database = database
        self._owner = organization_id
        self._consents = consents

    async def add(self, data: DoNotCallAdd | ConsentAdd) -> Added:
        """Add every number of a request, or none.

        Raises:
            BadInput: a number is none; names its place.
        """
        if isinstance(data, ConsentAdd):
            text: str | None = data.basis
            given_at = data.given_at
        else:
            text, given_at = data.reason, None
        entries = [Entry(number, text, _past(given_at)) async for number in _numbers(data)]
        if len(entries) > MOST_NUMBERS:
            raise BadInput(
                f"give at most {MOST_NUMBERS} numbers in one request", field="phone_numbers"
            )
        fresh = await self._store(entries)
        return Added(added=fresh, known=len(entries) - fresh)

    async def add_file(self, body: AsyncIterator[bytes]) -> Added:
        """Add the numbers of a CSV file; a line that cannot be used keeps no other from it.

        Raises:
            BadInput: the first line names no column phone_number.
        """
        waiting: list[Entry] = []
        errors: list[LineError] = []
        added = known = refused = 0
        complete = True

        async def store() -> None:
            nonlocal added, known
            fresh = await self._store(waiting)
            added, known = added + fresh, known + len(waiting) - fresh
            waiting.clear()

        try:
            async for rows in table(body, required="phone_number"):
                for row in rows:
                    entry = self._entry(row)
                    if isinstance(entry, LineError):
                        refused += 1
                        errors += [entry] if len(errors) < MOST_ERRORS else []
                        continue
                    waiting.append(entry)
                    if len(waiting) >= _CHUNK:
                        await store()
                await asyncio.sleep(0)
        except BrokenFile as exc:
            complete, refused = False, refused + 1
            errors.append(LineError(line=exc.line, detail=exc.reason))
        await store()
        return Added(added=added, known=known, refused=refused, complete=complete, errors=errors)

    def _entry(self, row: Row) -> Entry | LineError:
        try:
            return self._read(row)
        except Refused as exc:
            return LineError(line=row.line, detail=exc.detail)

    def _read(self, row: Row) -> Entry:
        if row.error is not None:
            raise BadInput(row.error)
        number = e164(row.cells.get("phone_number", ""))
        text = row.cells.get("basis" if self._consents else "reason")
        if text is not None and (len(text) > _LONGEST or "\0" in text):
            raise BadInput(f"its text has more than {_LONGEST} characters, or the character NUL")
        if not self._consents:
            return Entry(number, text)
        if text is None:
            raise BadInput("basis is missing: say how the agreement is known")
        return Entry(number, text, _past(_instant(row.cells.get("given_at"))))

    async def _store(self, entries: list[Entry]) -> int:
        if not entries:
            return 0
        for last in (False, True):
            try:
                async with self._database.transaction() as db:
                    now = await read_clock(db)
                    if not self._consents:
                        reasons = {entry.number: entry.text for entry in entries}
                        return await lists.forbid(db, self._owner, reasons, now=now)
                    given = [(e.number, e.text or "", e.given_at or now) for e in entries]
                    await lists.agree(db, self._owner, given, now=now)
                    return len(entries)
            except IntegrityError as exc:  # another request has just added one of them
                if last:
                    raise Conflict("another request adds the same numbers: try again") from exc
        raise AssertionError("unreachable")


async def _numbers(data: DoNotCallAdd | ConsentAdd) -> AsyncIterator[str]:
    written = list(_places(data))
    if not written:
        raise BadInput("give phone_number, or a list of phone_numbers", field="phone_number")
    for index, (place, text) in enumerate(written):
        if index % _BREATH == 0:
            await asyncio.sleep(0)
        yield e164(text, field=place)


def _places(data: DoNotCallAdd | ConsentAdd) -> Iterator[tuple[str, str]]:
    if data.phone_number is not None:
        yield "phone_number", data.phone_number
    for index, text in enumerate(data.phone_numbers or ()):
        yield f"phone_numbers[{index}]", text


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = msgspec.convert(text, datetime, strict=False)
    except msgspec.ValidationError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput("given_at is not a time with its zone, such as 2026-01-31T12:00:00Z")
    return found


def _past(given: datetime | None) -> datetime | None:
    """Return an instant that lies behind us, in UTC."""
    if given is None:
        return None
    try:
        found = given.astimezone(UTC)
    except OverflowError:  # the years 1 and 9999, in a zone that leads out of them
        found = None
    if found is None or found > datetime.now(UTC):
        raise BadInput("given_at lies ahead: nobody has agreed yet", field="given_at")
    return found
