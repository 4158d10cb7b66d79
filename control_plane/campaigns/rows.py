"""Rows on their way into a campaign: read one by one, kept many at once, each mistake told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import versions
from control_plane.assistants.repository import get_assistant
from control_plane.campaigns import repository
from control_plane.campaigns.schemas import MOST_ROWS, RowGiven, RowsAdded, RowsRead
from control_plane.compliance.schemas import MOST_ERRORS, LineError
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.campaign import Campaign, CampaignRow
from control_plane.domain.campaign import CampaignStatus
from control_plane.domain.errors import BadInput, Conflict, MissingVariable, Refused
from control_plane.domain.ids import new_id, parse_id
from control_plane.domain.phone import e164
from control_plane.domain.variables import require_values
from control_plane.http.requests import explain
from control_plane.http.uploads import BrokenFile, Row, table

_CHUNK = 1_000
"""Rows in one transaction: long enough to be cheap, short enough to let others write."""

_BREATH = 50
"""Rows between which other requests get their turn."""

_NUMBER = "phone_number"
_METADATA = "metadata."
_MOST_PROBLEM = 200


class _Good(Struct, frozen=True):
    line: int
    number: str
    variables: dict[str, str]
    metadata: dict[str, str]


class Upload:
    """One upload to a campaign; `begin` it, then give it its rows.

    Line n of the upload becomes line base + n of the campaign.
    """

    def __init__(self, database: Database, organization_id: str, campaign_id: str):
        self._database = database
        self._owner = organization_id
        self._campaign_id = parse_id(campaign_id, what="campaign")
        self._known: frozenset[str] = frozenset()
        self._version: versions.Version
        self._base = self._written = 0
        self._waiting: list[_Good] = []
        self._errors: list[LineError] = []
        self._accepted = self._refused = 0

    async def begin(self) -> None:
        """Find the campaign.

        Raises:
            NotFound: there is none, or its assistant is gone.
            Conflict: it is launched already.
        """
        async with self._database.reading() as db:
            row = await self._draft(db, lock=False)
            assistant = await get_assistant(db, self._owner, row.assistant_id, field="assistant_id")
            self._version = await versions.get(db, assistant.version_id or "")
            self._known = frozenset(row.prompt_variables)
            self._base = self._written = await repository.last_line(db, row.id)

    async def add_json(self, request: RowsRead) -> RowsAdded:
        """Keep the rows of a request."""
        for index, raw in enumerate(request.rows, start=1):
            if index % _BREATH == 0:
                await asyncio.sleep(0)
            try:
                row = _ROW.decode(raw)
                self._add(index, row.phone_number, row.prompt_variables, row.metadata)
            except msgspec.ValidationError as exc:
                self._refuse(index, explain(str(exc), RowGiven).detail)
            except Refused as exc:
                self._refuse(index, exc.detail)
            await self._flush(full=True)
        return await self._finish()

    async def add_csv(self, body: AsyncIterator[bytes]) -> RowsAdded:
        """Keep the rows of a CSV file.

        Raises:
            BadInput: its first line does not name a column phone_number.
        """
        count = 0
        try:
            async for rows in table(body, required=_NUMBER):
                for row in rows:
                    count += 1
                    if count % _BREATH == 0:
                        await asyncio.sleep(0)
                    try:
                        self._add(row.line, *_parts(row))
                    except Refused as exc:
                        self._refuse(row.line, exc.detail)
                    await self._flush(full=True)
        except BrokenFile as exc:
            self._refuse(exc.line, exc.reason, whatever=True)
            return await self._finish(complete=False)
        return await self._finish()

    def _add(
        self, line: int, written: str, variables: dict[str, str], metadata: dict[str, str]
    ) -> None:
        number = e164(written)
        for name, text in _texts(variables, metadata):
            if "\0" in text or "\0" in name:
                raise BadInput(f"{name[:100]}: text cannot hold the character NUL")
        _require(self._version, self._known, variables)
        self._waiting.append(_Good(line, number, variables, metadata))

    def _refuse(self, line: int, detail: str, *, whatever: bool = False) -> None:
        self._refused += 1
        if len(self._errors) < MOST_ERRORS or whatever:
            self._errors.append(LineError(line=line, detail=detail))

    async def _flush(self, *, full: bool) -> None:
        if self._waiting and (len(self._waiting) >= _CHUNK or not full):
            chunk, self._waiting = self._waiting, []
            try:
                await self._store(chunk)
            except IntegrityError as exc:
                raise self._overtaken() from exc

    async def _store(self, chunk: list[_Good]) -> None:
        async with self._database.transaction() as db:
            campaign = await self._draft(db, lock=True)
            if await repository.last_line(db, campaign.id) != self._written:
                raise self._overtaken()
            known = await repository.lines_of(db, campaign.id, [row.number for row in chunk])
            fresh: list[_Good] = []
            twice: list[_Good] = []
            for row in chunk:
                if row.number in known:
                    twice.append(row)
                else:
                    known[row.number] = self._base + row.line
                    fresh.append(row)
            if campaign.row_count + len(fresh) > MOST_ROWS:
                raise Conflict(f"a campaign holds at most {MOST_ROWS} rows: put the rest elsewhere")
            campaign.row_count += len(fresh)
            campaign.updated_at = now = await read_clock(db)
            if fresh:
                values = [self._values(row, now) for row in fresh]
                await db.execute(insert(CampaignRow), values)
        self._accepted += len(fresh)
        if fresh:
            self._written = self._base + fresh[-1].line
        for row in twice:
            self._refuse(row.line, self._named(known[row.number]))

    async def _finish(self, *, complete: bool = True) -> RowsAdded:
        await self._flush(full=False)
        return RowsAdded(
            accepted=self._accepted,
            refused=self._refused,
            complete=complete,
            errors=sorted(self._errors, key=lambda error: error.line),
        )

    async def _draft(self, db: AsyncSession, *, lock: bool) -> Campaign:
        row = await repository.get_campaign(db, self._owner, self._campaign_id, lock=lock)
        if row.status is not CampaignStatus.DRAFT:
            raise Conflict(f"the campaign is {row.status}; only a draft takes rows", field="status")
        return row

    def _overtaken(self) -> Conflict:
        return Conflict(
            f"another upload to this campaign runs at the same time; {self._accepted} rows of this "
            "one are kept: send it again when the other is done"
        )

    def _named(self, line: int) -> str:
        if line > self._base:
            return f"duplicate of line {line - self._base}"
        return f"duplicate of row {line} of the campaign, which came with an earlier upload"

    def _values(self, row: _Good, now: Any) -> dict[str, Any]:
        return {
            "id": new_id(),
            "campaign_id": self._campaign_id,
            "line": self._base + row.line,
            "phone_number": row.number,
            "prompt_variables": row.variables,
            "row_metadata": row.metadata,
            "order_id": None,
            "error": None,
            "created_at": now,
        }


_ROW = msgspec.json.Decoder(RowGiven)


def _parts(row: Row) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return number, variables and metadata of a line of CSV."""
    if row.error is not None:
        raise BadInput(f"the line {row.error}")
    variables = {n: v for n, v in row.cells.items() if n != _NUMBER and not n.startswith(_METADATA)}
    metadata = {n[len(_METADATA) :]: v for n, v in row.cells.items() if n.startswith(_METADATA)}
    number = row.cells.get(_NUMBER)
    if number is None:
        raise BadInput("phone_number is missing")
    try:  # the same bounds as those of JSON
        msgspec.convert(
            {_NUMBER: number, "prompt_variables": variables, "metadata": metadata}, RowGiven
        )
    except msgspec.ValidationError as exc:
        raise BadInput(explain(str(exc), RowGiven).detail) from exc
    return number, variables, metadata


def _texts(*parts: dict[str, str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        yield from part.items()


def _require(version: versions.Version, known: Collection[str], variables: dict[str, str]) -> None:
    """Do nothing when every variable of the assistant has a value.

    Raises:
        MissingVariable: naming the first that has none.
    """
    if any(name not in variables and name not in known for name in version.variables):
        values = dict.fromkeys(known, "") | variables
        try:
            require_values(version.spec, values)
        except MissingVariable as exc:
            where = "add the column, or"
            raise MissingVariable(
                f"{exc.detail}, {where} the campaign's own", field=exc.field
            ) from exc
