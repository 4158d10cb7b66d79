"""Uploaded tables: CSV read as it arrives, in bounded memory, or JSON that says the same."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import Struct

from control_plane.domain.errors import BadInput, Refused, TooLarge

CSV_LIMIT = 64 * 1024 * 1024
JSON_LIMIT = 8 * 1024 * 1024
_PIECE = 16 * 1024
_LONGEST_RECORD = 1024 * 1024
_DELIMITERS = (",", ";", "\t")
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json")
_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
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

    Raises:
        BadInput: the first line lacks the column `required`, or names one twice.
        BrokenFile: it cannot be read on.
    """
    file = _File(required)
    decoder = _Decoder()
    async for chunk in body:
        for at in range(0, len(chunk), _PIECE):
            if found := _read(file, decoder, chunk[at : at + _PIECE], last=False):
                yield found
            if file.broken is not None:
                raise file.broken
    if found := _read(file, decoder, b"", last=True):
        yield found
    if file.broken is not None:
        raise file.broken
    if file.columns is None:
        raise _no_column(required, [])


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


class _Decoder:
    """Text of UTF-8 or of UTF-16 with its mark; every line end becomes a line feed."""

    def __init__(self) -> None:
        self._begin = b""
        self._decoder: io.IncrementalNewlineDecoder | None = None

    def decode(self, piece: bytes, *, last: bool) -> str:
        if self._decoder is None:
            self._begin += piece
            if len(self._begin) < len(codecs.BOM_UTF8) and not last:
                return ""
            encoding = _BOMS.get(self._begin[:2])
            piece = self._begin[2:] if encoding else self._begin
            plain = codecs.getincrementaldecoder(encoding or "utf-8-sig")()
            self._decoder = io.IncrementalNewlineDecoder(plain, translate=True)
        return self._decoder.decode(piece, final=last)


class _File:
    """The lines that are no rows yet; a record may go over several."""

    def __init__(self, required: str) -> None:
        self.columns: list[str] | None = None
        self.line = 1  # of the first line held
        self.broken: BrokenFile | None = None
        self._required = required
        self._delimiter = ","
        self._held: list[str] = []
        self._rest = ""

    def feed(self, text: str, *, last: bool = False) -> list[Row]:
        """Return the rows that `text` completes."""
        *whole, self._rest = (self._rest + text).split("\n")
        self._held += [f"{line}\n" for line in whole]
        if last and self._rest:
            self._held.append(self._rest)
            self._rest = ""
        if self.columns is None and not self._begin():
            return []
        rows = self._rows(last=last)
        if len(self._rest) + sum(map(len, self._held)) > _LONGEST_RECORD:
            rows += self.stop(_UNCLOSED)
        return rows

    def stop(self, reason: str) -> list[Row]:
        """Break off at the line that is not complete; return the rows before it."""
        self._rest = ""
        rows = self._rows(last=True) if self.columns is not None else []
        self.broken = self.broken or BrokenFile(self.line, reason)
        return rows

    def _begin(self) -> bool:
        while self._held and not self._held[0].strip():
            self._drop(1)
        if not self._held:
            if len(self._rest) > _LONGEST_RECORD:
                raise BrokenFile(self.line, "the first line is too long")
            return False
        by_delimiter = {
            mark: [name.strip() for name in next(csv.reader(self._held[:1], delimiter=mark))]
            for mark in _DELIMITERS
        }
        self._delimiter = max(by_delimiter, key=lambda mark: len(by_delimiter[mark]))
        columns = by_delimiter[self._delimiter]
        if self._required not in columns:
            raise _no_column(self._required, columns)
        for name in columns:
            if name and columns.count(name) > 1:
                raise BadInput(f"the first line names the column {name[:100]!r} twice: rename one")
        self.columns = columns
        self._drop(1)
        return True

    def _rows(self, *, last: bool) -> list[Row]:
        reader = csv.reader(iter(self._held), delimiter=self._delimiter)
        records: list[tuple[int, list[str]]] = []
        while True:
            begun = reader.line_num
            try:
                records.append((begun, next(reader)))
            except StopIteration:
                break
            except csv.Error:
                self.broken = BrokenFile(self.line + begun, _UNCLOSED)
                break
        # The last record may go on in what has not arrived yet.
        if records and self.broken is None and (not last or self._is_open(records[-1][0])):
            begun = records.pop()[0]
        rows = [self._row(self.line + index, cells) for index, cells in records if any(cells)]
        self._drop(begun)
        return rows

    def _is_open(self, begun: int) -> bool:
        """Return whether the last record, which begins there, ends within quotation marks."""
        try:
            list(csv.reader(self._held[begun:], delimiter=self._delimiter, strict=True))
        except csv.Error as exc:
            if "end of data" in str(exc):
                self.broken = BrokenFile(self.line + begun, _UNCLOSED)
        return self.broken is not None

    def _row(self, line: int, cells: list[str]) -> Row:
        columns = self.columns or []
        if len(cells) > len(columns):
            return Row(line, error=f"has {len(cells)} cells, the first line {len(columns)}")
        pairs = zip(columns, cells, strict=False)
        return Row(line, {name: cell for name, cell in pairs if name and cell})

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self.line += count


_UNCLOSED = "a quotation mark that opens here is not closed, or the line is too long"


def _read(file: _File, decoder: _Decoder, piece: bytes, *, last: bool) -> list[Row]:
    try:
        return file.feed(decoder.decode(piece, last=last), last=last)
    except UnicodeDecodeError as exc:
        good = exc.object[: exc.start].decode(exc.encoding).removeprefix("\ufeff")
        rows = file.feed(good.replace("\r\n", "\n").replace("\r", "\n"))
        return rows + file.stop("the text from here on is not UTF-8: save the file so")


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
