"""CSV as people's programs write it."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

import pytest

from control_plane.domain.errors import BadInput
from control_plane.http.uploads import BrokenFile, Row, table

pytestmark = pytest.mark.unit


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def read(body: bytes, size: int = 1_000_000) -> list[Row]:
    found: list[Row] = []
    async for rows in table(pieces(body, size), required="phone_number"):
        found += rows
    return found


async def collect(batches: AsyncIterator[list[Row]], found: list[Row]) -> None:
    async for rows in batches:
        found += rows


WHOLE = 'phone_number,name,note\n1,"Ann, B.","says ""hi""\nand goes"\n\n2,Bob,\n'


@pytest.mark.parametrize(
    "body",
    [
        WHOLE.encode(),
        WHOLE.replace("\n", "\r\n").encode(),
        WHOLE.replace("\n", "\r").encode(),
        codecs.BOM_UTF8 + WHOLE.encode(),
        codecs.BOM_UTF16_LE + WHOLE.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + WHOLE.encode("utf-16-be"),
        WHOLE.rstrip("\n").encode(),
        ("\n\n" + WHOLE).encode(),
        WHOLE.replace("Ann, B.", "Ann; B.").replace(",", ";").replace("Ann;", "Ann,").encode(),
        WHOLE.replace("phone_number,name,note", '"phone_number", name ,note').encode(),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1_000])
async def test_every_common_form_says_the_same(body: bytes, size: int) -> None:
    first, second = await read(body, size)
    assert first.cells == {"phone_number": "1", "name": "Ann, B.", "note": 'says "hi"\nand goes'}
    assert second.cells == {"phone_number": "2", "name": "Bob"}
    before = 2 if body.startswith(b"\n") else 0
    assert (first.line - before, second.line - before) == (2, 5)


async def test_tabs_part_too_and_a_column_without_a_name_is_skipped() -> None:
    [row] = await read(b"name\tphone_number\t\nAnn, B.\t1\tx\n")
    assert row.cells == {"name": "Ann, B.", "phone_number": "1"}


async def test_a_cell_that_looks_like_a_formula_is_text() -> None:
    [row] = await read(b'phone_number,a,b\n=1+1,"=HYPERLINK(""x"")",@SUM(A1)\n')
    assert row.cells == {"phone_number": "=1+1", "a": '=HYPERLINK("x")', "b": "@SUM(A1)"}


async def test_too_many_cells_are_an_error_of_their_line_only() -> None:
    bad, good = await read(b"phone_number,name\n1,Ann,x\n2\n")
    assert (bad.line, bad.error) == (2, "has 3 cells, the first line 2")
    assert good.cells == {"phone_number": "2"}


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"number,name\n1,2\n", b"phone_number,a,a\n1,2,3\n", b"Phone_Number\n1"]
)
async def test_a_first_line_that_cannot_be_used_is_named(body: bytes) -> None:
    with pytest.raises(BadInput, match="first line"):
        await read(body)


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        (b'3,"never closed\n4,x\n', 3),
        (b'3,"' + b"x" * 200_000 + b"\n", 3),
        (b"3," + b"x" * 3_000_000, 3),
        (b"3,\xff\xfe\n", 3),
    ],
)
async def test_what_came_before_a_break_is_read(tail: bytes, line: int) -> None:
    found: list[Row] = []
    body = b"phone_number,a\n2,x\n" + tail
    for size in (1, 19, 1_000_000) if len(body) < 1_000 else (5_000, 5_000_000):
        found.clear()
        with pytest.raises(BrokenFile) as told:
            await collect(table(pieces(body, size), required="phone_number"), found)
        assert told.value.line == line
        assert [row.cells["phone_number"] for row in found] == ["2"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
async def test_a_break_is_told_of_its_own_line_however_lines_end(end: bytes) -> None:
    found: list[Row] = []
    body = end.join([b"phone_number", b"1", b"2", b"\xff"])
    with pytest.raises(BrokenFile) as told:
        await collect(table(pieces(body, 1), required="phone_number"), found)
    assert told.value.line == 4
    assert [row.line for row in found] == [2, 3]
