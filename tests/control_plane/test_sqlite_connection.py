"""Connections to SQLite that change threads once for each statement."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import text

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


class Counted(OneTripConnection):
    """Counts how often its thread was asked for something."""

    trips = 0

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.trips += 1
        return await super()._execute(fn, *args, **kwargs)


async def test_a_statement_takes_one_trip_and_an_empty_rollback_none(database_url: str) -> None:
    path = database_url.removeprefix("sqlite+aiosqlite:///")
    counted = Counted(
        lambda: sqlite3.connect(path, check_same_thread=False, isolation_level=None), 64
    )
    await counted
    for trips, query in enumerate(("BEGIN IMMEDIATE", "SELECT 1", "ROLLBACK"), start=1):
        async with counted.cursor() as cursor:
            await cursor.execute(query)
            await cursor.fetchall()
        assert counted.trips == trips
    await counted.rollback()
    assert counted.trips == 3
    await counted.execute("BEGIN IMMEDIATE")
    await counted.rollback()
    assert counted.trips == 5
    await counted.close()


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
