"""Connections to SQLite that change threads once for each statement.

aiosqlite changes threads to make a cursor, to execute, to fetch and to close: four times, and each
costs more than most of our statements do.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable
from typing import Any

import aiosqlite
from aiosqlite.context import contextmanager


class OneTripCursor(aiosqlite.Cursor):
    """Has every row fetched when `execute` returns."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._rows: deque[Any] = deque()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> OneTripCursor:
        """Execute the query and fetch what it returns."""
        self._rows = await self._execute(self._run, sql, parameters or ())  # type: ignore[no-untyped-call]
        return self

    def _run(self, sql: str, parameters: Any) -> deque[Any]:
        self._cursor.execute(sql, parameters)
        return deque(self._cursor)

    async def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows, at most `size`."""
        size = self.arraysize if size is None else size
        return [self._rows.popleft() for _ in range(min(size, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return await self.fetchmany(len(self._rows))

    async def close(self) -> None:
        """Forget the rows; their statement ended when they were fetched."""
        self._rows.clear()


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors need its thread for their statements only."""

    @contextmanager
    async def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """Return a new cursor."""
        return OneTripCursor(self, self._conn.cursor())


def connect(database: str, *, iter_chunk_size: int = 64, **options: Any) -> OneTripConnection:
    """Return a connection to be awaited; `options` are those of `sqlite3.connect`.

    Other threads than its own touch it, one at a time, so `check_same_thread` must be false.
    """
    connection = OneTripConnection(lambda: sqlite3.connect(database, **options), iter_chunk_size)
    connection._thread.daemon = True  # as SQLAlchemy has it
    return connection
