"""What is stored about a person is found by their number, in whatever table it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    String,
    Table,
    Text,
    insert,
    select,
)

from control_plane.compliance.person import OURS, list_rows_about
from control_plane.db.base import Instant, Json, SealedAddress, Word
from control_plane.db.engine import Database
from control_plane.db.models.registry import METADATA, MODULES
from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl
from tests.factories import NUMBER
from tests.offices import Office

pytestmark = [pytest.mark.db, pytest.mark.engines]

OTHER = "+12025550124"
NUMBERED = re.compile("phone|number(?!_types)", re.IGNORECASE)
HANGS = {"session_id", "order_id", "call_id", "delivery_id"}
"""Columns by which a row belongs to a call or to a message about one."""
ROLES: dict[str, dict[str, str]] = {
    "leg.to_phone_number": {"kind": "callee"},
    "leg.from_phone_number": {"kind": "caller"},
}
"""What else is true of a row in which the number in that column is the person's."""

assert MODULES


def is_text(column: Column[Any]) -> bool:
    """Whether a number could stand in it."""
    return isinstance(column.type, String | Text | Json)


def numbered(table: Table) -> list[str]:
    """Return the columns that are for numbers, by their names."""
    return [each.name for each in table.columns if NUMBERED.search(each.name) and is_text(each)]


COLUMNS = [f"{table.name}.{name}" for table in METADATA.sorted_tables for name in numbered(table)]
HANGING = [
    f"{table.name}.{column.name}"
    for table in METADATA.sorted_tables
    for column in table.columns
    if column.name in HANGS and not numbered(table)
]


def add(connection: Connection, name: str, **values: Any) -> str:
    """Return the key of a new row, with rows that it refers to and what it must have."""
    table = METADATA.tables[name]
    row = {**dict(missing(connection, table, values)), **values}
    connection.execute(insert(table).values(row))
    return str(row[key_of(table).name])


def key_of(table: Table) -> Column[Any]:
    """Return the column by which a row is known within its organization."""
    return list(table.primary_key)[-1]


def missing(
    connection: Connection, table: Table, given: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield what a row needs beside what is given."""
    for column in table.columns:
        if column.name in given or (column.nullable and column.name != "assistant_version_id"):
            continue
        reference = next(iter(column.foreign_keys), None)
        if column.name == "organization_id":
            yield column.name, OWNER
        elif reference is not None:
            yield column.name, add(connection, reference.column.table.name)
        else:
            yield column.name, anything(column)


def anything(column: Column[Any]) -> Any:
    """Return a value that the column takes."""
    match column.type:
        case Instant():
            return datetime.now(UTC)
        case Json():
            return {}
        case SealedAddress():
            return SealedUrl("https://example.com/****", "sealed")
        case Word():
            return next(iter(column.type.kind))
        case Boolean():
            return False
        case Integer() | BigInteger() | Float():
            return 1
        case _:
            return new_id()[: getattr(column.type, "length", None) or 36]


OWNER, STRANGER = new_id(), new_id()


def organizations(connection: Connection) -> None:
    """Store the two whose rows these are."""
    table = METADATA.tables["organization"]
    for key in (OWNER, STRANGER):
        row = {"id": key, "name": key}
        more = dict(missing(connection, table, row))
        connection.execute(insert(table).values({**more, **row}))


async def store(database: Database, *rows: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the keys of new rows, of tables with columns that have these values."""

    def write(connection: Connection) -> list[str]:
        organizations(connection)
        return [add(connection, table, **values) for table, values in rows]

    async with database.engine.begin() as connection:
        return await connection.run_sync(write)


async def found(database: Database, owner: str = OWNER) -> dict[str, list[str]]:
    async with database.reading() as db:
        return await list_rows_about(db, owner, NUMBER)


@pytest.mark.parametrize("place", sorted(set(COLUMNS) - OURS))
async def test_a_row_with_the_number_is_found(database: Database, place: str) -> None:
    table, column = place.split(".")
    values = ROLES.get(place, {})
    mine, _other = await store(
        database, (table, {**values, column: NUMBER}), (table, {**values, column: OTHER})
    )
    assert (await found(database)).get(table) == [mine], f"{place} is not looked at"
    assert await found(database, STRANGER) == {}


async def test_a_human_and_a_caller_without_the_plus_are_found(database: Database) -> None:
    human, plain, zeros, ours = await store(
        database,
        ("leg", {"kind": "human", "to_phone_number": NUMBER, "from_phone_number": OTHER}),
        ("leg", {"kind": "caller", "from_phone_number": NUMBER[1:], "to_phone_number": OTHER}),
        ("leg", {"kind": "caller", "from_phone_number": f"00{NUMBER[1:]}"}),
        ("leg", {"kind": "caller", "to_phone_number": NUMBER}),
    )
    assert sorted((await found(database))["leg"]) == sorted([human, plain, zeros])
    assert ours


@pytest.mark.parametrize("place", sorted(set(COLUMNS) & OURS))
async def test_a_number_of_our_own_is_no_person(database: Database, place: str) -> None:
    table, column = place.split(".")
    listed = isinstance(METADATA.tables[table].columns[column].type, Json)
    await store(database, (table, {column: [NUMBER] if listed else NUMBER}))
    assert await found(database) == {}


def test_every_column_of_our_own_numbers_is_there() -> None:
    assert set(COLUMNS) >= OURS | set(ROLES)


@pytest.mark.parametrize("place", HANGING)
async def test_what_belongs_to_their_call_is_found(database: Database, place: str) -> None:
    table, column = place.split(".")
    order, session, delivery = new_id(), new_id(), new_id()
    target = {"order_id": order, "delivery_id": delivery, "session_id": session}
    values = {column: target.get(column, order)}
    keys = await store(
        database,
        ("call_order", {"id": order, "to_phone_number": NUMBER}),
        ("session", {"id": session}),
        ("leg", {"kind": "caller", "from_phone_number": NUMBER, "session_id": session}),
        ("delivery", {"id": delivery, "call_id": order}),
        (table, values),
    )
    assert keys[-1] in (await found(database)).get(table, []), f"{place} is not looked at"


async def test_nothing_that_the_api_stores_of_a_number_is_left_out(desk: Office) -> None:
    owner = await desk.owner()
    assistant = {"name": "A", "prompt": "p", "is_default": True}
    made = (await desk.ask("POST", "/assistant", assistant, status=201))["assistant"]["id"]
    answer = await desk.client.post(
        "/call", json={"phone_number": NUMBER, "metadata": {"of": NUMBER}},
        headers={"Idempotency-Key": "k"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    await desk.ask("POST", f"/call/{answer.json()['call']['id']}/cancel", status=202)
    campaign = {"name": "C", "assistant_id": made}
    drafted = (await desk.ask("POST", "/campaign", campaign, status=201))["campaign"]["id"]
    rows = {"rows": [{"phone_number": NUMBER}, {"phone_number": OTHER}]}
    await desk.ask("POST", f"/campaign/{drafted}/rows", rows)
    await desk.ask("POST", "/consent", {"phone_number": NUMBER, "basis": "asked"})
    for _ in range(2):
        await desk.ask("POST", "/do-not-call", {"phone_number": NUMBER})
        await desk.ask("DELETE", f"/do-not-call/{NUMBER}", status=204)
    await desk.ask("POST", "/do-not-call", {"phone_number": NUMBER})
    async with desk.database.engine.connect() as connection:
        written = await connection.run_sync(rows_with, NUMBER[1:])
    async with desk.database.reading() as db:
        told = await list_rows_about(db, owner, NUMBER)
    assert {"call_order", "idempotent_answer", "campaign_row", "audit_entry"} <= set(written)
    for table, keys in written.items():
        assert keys <= set(told.get(table, [])), table
    assert not await rows_about(desk, new_id())


async def rows_about(desk: Office, owner: str) -> dict[str, list[str]]:
    async with desk.database.reading() as db:
        return await list_rows_about(db, owner, NUMBER)


def rows_with(connection: Connection, text: str) -> dict[str, set[str]]:
    """Return the keys of the rows in which a text stands anywhere but among our numbers."""
    result = {}
    for table in METADATA.sorted_tables:
        columns = [
            each
            for each in table.columns
            if is_text(each) and f"{table.name}.{each.name}" not in OURS
        ]
        rows = connection.execute(select(key_of(table), *columns)).all()
        keys = {str(key) for key, *values in rows if any(text in str(each) for each in values)}
        if keys:
            result[table.name] = keys
    return result
