"""Uploaded tables: CSV in bounded memory, or JSON that says the same."""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import IO, Any

import msgspec
from litestar import Request
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import Struct

from control_plane.domain.errors import BadInput, Refused, TooLarge

CSV_LIMIT = 64 * 1024 * 1024
JSON_LIMIT = 8 * 1024 * 1024
_IN_MEMORY = 1024 * 1024
_AT_ONCE = 100
_LONGEST_RECORD = 1024 * 1024
_DELIMITERS = (",", ";", "\t")
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json")
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARK = "\udcff"  # in place of what is no text; no file can hold it
_MARKED = "offhook-marked"
codecs.register_error(_MARKED, lambda exc: (_MARK, exc.end))  # type: ignore[attr-defined]
_NAMED = 5


class Row(Struct, frozen=True):
    """One row: the line it begins on, from 1, and its cells by column; `error` where it has none.

    An empty cell is no value.
    """

    line: int
    cells: dict[str, str] = {}
    error: str | None = None


class BrokenFile(Exception):
    """The file cannot be read on from `line`; every row before it was given out."""

    def __init__(self, line: int, reason: str):
        super().__init__(reason)
        self.line = line
        self.reason = reason


def is_csv(request: Request[Any, Any, Any]) -> bool:
    """Return whether the body is declared as CSV; else it is JSON.

    Raises:
        Refused: it is declared as something else.
    """
    declared, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    declared = declared.strip()
    if declared == "text/csv":
        charset = parameters.partition("charset=")[2].strip(' "') or "utf-8"
        if charset not in ("utf-8", "utf8", "us-ascii", "utf-16"):
            raise Refused(f"the file is declared as {charset[:40]!r}: save it as UTF-8")
        return True
    if declared and not _JSON.fullmatch(declared):
        raise Refused(
            f"the body is declared as {declared[:100]!r}: send it with Content-Type: text/csv or "
            "application/json"
        )
    return False


async def chunks(request: Request[Any, Any, Any], limit: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises:
        TooLarge: it has more than `limit` bytes; what came before was yielded.
    """
    size = 0
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def whole(request: Request[Any, Any, Any]) -> bytes:
    """Return a JSON body.

    Raises:
        TooLarge: it has more than `JSON_LIMIT` bytes.
    """
    return b"".join([chunk async for chunk in chunks(request, JSON_LIMIT)])


async def table(body: AsyncIterator[bytes], *, required: str) -> AsyncIterator[list[Row]]:
    """Yield the rows of a CSV file, a few at a time, in their order.

    The first line names the columns; commas, semicolons or tabs part them; quotes, line ends
    and byte order marks of every common writer are understood. A column without a name is skipped.
    None is yielded before the whole file has arrived; more than a little of it waits on disk.

    Raises:
        BadInput: the first line lacks the column `required`, or names one twice.
        BrokenFile: it cannot be read on.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async for chunk in body:
            await asyncio.to_thread(file.write, chunk)
        found: list[Row] = []
        try:
            for row in _rows(_Lines(file), required):
                found.append(row)
                if len(found) == _AT_ONCE:
                    yield found
                    found = []
        except BrokenFile:
            yield found
            raise
        yield found


def described(kind: type[Struct], *, columns: str) -> type[Operation]:
    """Return the OpenAPI operation whose body is `kind` as JSON, or CSV with `columns`."""
    [top], parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = _inlined(top, parts)

    @dataclass
    class Upload(Operation):
        def __post_init__(self) -> None:
            text = Schema(type=OpenAPIType.STRING, description=columns)
            self.request_body = RequestBody(
                required=True,
                content={
                    "application/json": OpenAPIMediaType(schema=schema),
                    "text/csv": OpenAPIMediaType(schema=text),
                },
            )

    return Upload


class _Lines:
    """The lines of a file, every end a line feed, and where the record that is read begins."""

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0)
        encoding = "utf-16" if file.read(2) in _BOMS else "utf-8-sig"
        file.seek(0)
        self._text = io.TextIOWrapper(file, encoding, errors=_MARKED)
        self._line = 0
        self.begin()

    def begin(self) -> None:
        """Let a record begin with the next line."""
        self.begun = self._line + 1
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST_RECORD)
        if not line and not self._size:
            raise StopIteration
        self._line += 1
        self._size += len(line)
        if _MARK in line:
            raise BrokenFile(self.begun, "the text from here on is not UTF-8: save the file so")
        if not line or self._size >= _LONGEST_RECORD:  # or it ends within quotation marks
            raise BrokenFile(self.begun, _UNCLOSED)
        return line


def _rows(lines: _Lines, required: str) -> Iterator[Row]:
    try:
        for first in lines:
            if first.strip():
                break
            lines.begin()
        else:
            raise _no_column(required, [])
        columns, delimiter = _columns(first, required)
        lines.begin()
        for cells in csv.reader(lines, delimiter=delimiter):
            if any(cells):
                yield _row(lines.begun, columns, cells)
            lines.begin()
    except csv.Error as exc:
        raise BrokenFile(lines.begun, _UNCLOSED) from exc


def _row(line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) > len(columns):
        return Row(line, error=f"has {len(cells)} cells, the first line {len(columns)}")
    pairs = zip(columns, cells, strict=False)
    return Row(line, {name: cell for name, cell in pairs if name and cell})


def _columns(line: str, required: str) -> tuple[list[str], str]:
    """Return the names that the first line gives, and what parts them."""
    by_delimiter = {
        mark: [name.strip() for name in next(csv.reader([line], delimiter=mark))]
        for mark in _DELIMITERS
    }
    delimiter = max(by_delimiter, key=lambda mark: len(by_delimiter[mark]))
    columns = by_delimiter[delimiter]
    if required not in columns:
        raise _no_column(required, columns)
    for name in columns:
        if name and columns.count(name) > 1:
            raise BadInput(f"the first line names the column {name[:100]!r} twice: rename one")
    return columns, delimiter


_UNCLOSED = "a quotation mark that opens here is not closed, or the line is too long"


def _no_column(required: str, columns: list[str]) -> BadInput:
    named = ", ".join(name[:50] for name in columns[:_NAMED] if name)
    there = f"; it names {named}" if named else ""
    return BadInput(
        f"the first line of the file must name its columns, {required} among them{there}",
        field=required,
    )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit // 1024 // 1024} MiB, the most this endpoint takes: "
        "send the rest apart"
    )


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """Return a schema that stands alone."""
    match schema:
        case {"$ref": str(ref)}:
            return _inlined(parts[ref.rpartition("/")[2]], parts)
        case dict():
            return {name: _inlined(each, parts) for name, each in schema.items()}
        case list():
            return [_inlined(each, parts) for each in schema]
    return schema
