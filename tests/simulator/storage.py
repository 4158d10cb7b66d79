"""A real SQLite database in memory, without threads: one connection that every process shares.

A transaction runs to its end without a pause, as SQLite's single writer has it, so that
processes interleave between transactions only.
"""

from __future__ import annotations

import contextlib
import contextvars
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import StaticPool
from sqlalchemy.util.concurrency import await_

from control_plane.db.engine import Database, prepare

if TYPE_CHECKING:
    from tests.simulator.world import Process

URL = "sqlite+simulated://"
OWNER: contextvars.ContextVar[tuple[str, int] | None] = contextvars.ContextVar(
    "owner", default=None
)
"""The attempt and epoch that the running task acts for."""

_KEPT = ("alembic_version", "organization", "trunk", "assistant", "assistant_version", "api_key")
_WATCH = """
CREATE TABLE forbidden (what TEXT NOT NULL);
CREATE TRIGGER history_changes BEFORE UPDATE ON call_event
  BEGIN INSERT INTO forbidden VALUES ('I5 a history row was changed: ' || OLD.id); END;
CREATE TRIGGER final_changes BEFORE UPDATE OF status ON call_order
  WHEN OLD.status IN ('completed', 'cancelled', 'errored') AND NEW.status <> OLD.status
  BEGIN INSERT INTO forbidden VALUES ('I2 a final order went on: ' || OLD.id); END;
CREATE TRIGGER closed_changes BEFORE UPDATE OF status ON session
  WHEN OLD.closed_at IS NOT NULL AND NEW.status <> OLD.status
  BEGIN INSERT INTO forbidden VALUES ('I7 a closed attempt went on: ' || OLD.id); END;
"""


class Injected(OperationalError):
    """A database error that the schedule asked for."""


class Dialect(SQLiteDialect_pysqlite):
    """SQLite called in place: no thread, hence no pause within a transaction."""

    driver = "simulated"
    is_async = True
    supports_statement_cache = True

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        """Execute; the await that never pauses is what SQLAlchemy asks of an async driver."""
        await_(_at_once())
        cursor.execute(statement, parameters)

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        """Execute for many rows."""
        await_(_at_once())
        cursor.executemany(statement, parameters)


async def _at_once() -> None:
    pass


registry.register("sqlite.simulated", __name__, "Dialect")


class Store:
    """The connection and its engine; used by one schedule after the other."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", cached_statements=2_000)
        self.engine: AsyncEngine = create_async_engine(
            URL, poolclass=StaticPool, creator=lambda: self.connection
        )
        prepare(self.engine)
        self._clear = ""

    def watch(self) -> None:
        """Note what must not happen from now on, and how to forget a schedule's rows."""
        self.connection.executescript(_WATCH)
        tables = [
            name
            for (name,) in self.connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
            if name not in _KEPT and not name.startswith("sqlite_")
        ]
        tables.sort(key=lambda name: name == "forbidden")
        self._clear = "".join(f"DELETE FROM {name};" for name in tables)

    def clear(self) -> None:
        """Forget every row but the fixed ones."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.connection.execute("PRAGMA foreign_keys=OFF")
        self.connection.executescript(f"BEGIN;{self._clear}COMMIT;")
        self.connection.execute("PRAGMA foreign_keys=ON")

    def row(self, query: str, *values: Any) -> Any:
        """Return the first row, None without one; never through the code under test."""
        return self.connection.execute(query, values).fetchone()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Return every row, as dictionaries."""
        cursor = self.connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


class SharedDatabase(Database):
    """The database as one process sees it: it may be frozen, killed, or told of an error."""

    def __init__(self, process: Process):
        world = process.world
        super().__init__(
            URL,
            wake_folder=Path("/nowhere"),
            clock=world.now,
            engine=world.store.engine,
            waker=world,
        )
        self._process = process

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Yield a session, as `Database` does, with the schedule's faults around it."""
        process, connection = self._process, self._process.world.store.connection
        await process.passes(slow=True)
        fails_late = process.draw_error()
        stale = self._stale()
        before = connection.total_changes
        async with super().transaction() as session:
            yield session
            if fails_late:
                await session.flush()
                raise error()
        if stale is not None and connection.total_changes != before:
            process.world.violate("I7", f"a stale epoch wrote: {stale}")
        process.world.note(process.name, "commit")
        await process.passes()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Yield a session for reading."""
        await self._process.passes()
        async with super().reading() as session:
            yield session
            await session.commit()  # closing takes a pause, and the connection is shared

    async def close(self) -> None:
        """Leave the shared connection open."""

    def _stale(self) -> str | None:
        owner = OWNER.get()
        if owner is None:
            return None
        now = self._process.world.store.row("SELECT epoch FROM session WHERE id = ?", owner[0])
        return f"{owner[0]} at {owner[1]}, now {now[0]}" if now and now[0] != owner[1] else None


def error() -> Injected:
    """Return what SQLite says when another writer has the lock for too long."""
    return Injected("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked"))
