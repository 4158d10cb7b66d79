"""Connections to SQLite that change threads once for each statement."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text

from control_plane.db.engine import Database
from control_plane.db.sqlite_connection import OneTripConnection, connect

pytestmark = [
    pytest.mark.db,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[OneTripConnection]:
    path = database_url.removeprefix("sqlite+aiosqlite:///")
    made = await connect(path, check_same_thread=False, isolation_level=None)
    yield made
    await made.close()


async def test_rows_are_there_however_they_are_fetched(connection: OneTripConnection) -> None:
    query = "SELECT value FROM json_each('[1, 2, 3, 4, 5]')"
    async with connection.cursor() as cursor:
        await cursor.execute(query)
        assert await cursor.fetchone() == (1,)
        assert await cursor.fetchmany() == [(2,)]
        assert await cursor.fetchmany(2) == [(3,), (4,)]
        assert await cursor.fetchall() == [(5,)]
        assert await cursor.fetchone() is None
        await cursor.execute(query)
        assert [row async for row in cursor] == [(1,), (2,), (3,), (4,), (5,)]


async def test_a_session_can_stream(database: Database) -> None:
    numbers = text("SELECT value FROM json_each('[1, 2, 3]')")
    async with database.reading() as session:
        result = await session.stream_scalars(numbers)
        assert [n async for n in result] == [1, 2, 3]


async def test_a_transaction_takes_a_trip_for_each_statement(database: Database) -> None:
    async with database.reading() as session:
        pooled = await (await session.connection()).get_raw_connection()
        driver: Any = pooled.driver_connection
    trips: list[object] = []
    goes = driver._execute

    def counted(*what: Any) -> Any:
        trips.append(what)
        return goes(*what)

    driver._execute = counted
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT 1"))).all() == [(1,)]
    assert len(trips) == 3, "BEGIN, SELECT and COMMIT"


async def test_who_gives_up_a_transaction_leaves_no_lock(database: Database) -> None:
    path = database.url.removeprefix("sqlite+aiosqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        for begins in (False, True):  # waiting for the lock, or having it
            told = asyncio.Event()
            if not begins:
                other.execute("BEGIN IMMEDIATE")
                event.listen(
                    database.engine.sync_engine,
                    "before_cursor_execute",
                    lambda *_, told=told: told.set(),
                )
            writing = asyncio.create_task(_write_for_ever(database, told))
            await told.wait()
            writing.cancel()
            await asyncio.wait([writing])
            if not begins:
                other.execute("ROLLBACK")
            async with database.transaction() as session:  # nor is the connection kept as it was
                await session.execute(text("UPDATE organization SET name = 'ours'"))
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")


async def _write_for_ever(database: Database, told: asyncio.Event) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE organization SET name = 'theirs'"))
        told.set()
        await asyncio.Event().wait()


async def test_who_gives_up_waiting_for_the_lock_does_not_get_it(
    connection: OneTripConnection, database_url: str
) -> None:
    path = database_url.removeprefix("sqlite+aiosqlite:///")
    loop, begins = asyncio.get_running_loop(), asyncio.Event()
    other = await connect(path, check_same_thread=False, isolation_level=None)
    await other.set_trace_callback(lambda _sql: loop.call_soon_threadsafe(begins.set))
    await connection.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(_begin(other))
    await begins.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await connection.rollback()
    await other.rollback()
    await other.execute("SELECT 1")  # after whatever its thread was at
    assert not other.in_transaction
    await other.close()


async def _begin(connection: OneTripConnection) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("BEGIN IMMEDIATE")
