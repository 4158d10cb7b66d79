"""Connections to SQLite that change threads once for each statement.

aiosqlite changes threads to make a cursor, to execute, to fetch and to close: four times, and each
costs more than most of our statements do.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiosqlite
from aiosqlite.context import contextmanager


class OneTripCursor(aiosqlite.Cursor):
    """Has every row fetched when `execute` returns."""

    _conn: OneTripConnection

    def __init__(self, connection: OneTripConnection, cursor: sqlite3.Cursor):
        super().__init__(connection, cursor)
        self._rows: deque[Any] = deque()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> OneTripCursor:
        """Execute the query and fetch what it returns."""
        ran = await self._conn.on_its_thread(self._run, sql, parameters or ())
        self._rows = deque(ran)
        return self

    def _run(self, sql: str, parameters: Any) -> list[Any]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall() if self._cursor.description is not None else []

    async def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        return self._rows.popleft() if self._rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows, at most `size`."""
        size = self.arraysize if size is None else size
        return [self._rows.popleft() for _ in range(min(size, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the rows that are left."""
        while self._rows:
            yield self._rows.popleft()

    async def close(self) -> None:
        """Forget the rows; their statement ended when they were fetched."""
        self._rows.clear()
        if self._conn.may_be_at_work:
            await super().close()
        else:
            self._cursor.close()


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors need its thread for their statements only."""

    may_be_at_work = False
    """Whether somebody stopped waiting for the thread, which then may still be at a statement."""

    @contextmanager
    async def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """Return a new cursor."""
        return OneTripCursor(self, self._conn.cursor())

    async def rollback(self) -> None:
        """Roll back; the pool asks for it after every commit too, when nothing is left to do."""
        if self.may_be_at_work or self.in_transaction:
            await super().rollback()

    async def on_its_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `function` returns, called where statements are."""
        return await self._execute(function, *arguments)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            self.may_be_at_work = True
            raise


def connect(database: str, *, iter_chunk_size: int = 64, **options: Any) -> OneTripConnection:
    """Return a connection to be awaited; `options` are those of `sqlite3.connect`.

    Other threads than its own touch it, one at a time, so `check_same_thread` must be false.
    """
    connection = OneTripConnection(lambda: sqlite3.connect(database, **options), iter_chunk_size)
    connection._thread.daemon = True  # as SQLAlchemy has it
    return connection
