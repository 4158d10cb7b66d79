"""The database: one engine, transactions that wake the others, reads that block nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import TimeoutError as LockTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from control_plane.db.base import CLOCK
from control_plane.db.sqlite_connection import connect
from control_plane.db.wake import (
    CHANNEL,
    READ,
    ChangeNotifier,
    Changes,
    SocketWaker,
    Waker,
    listen_on_postgresql,
    listen_on_socket,
)

_IS_WORK = "is_work"
_READ_ONLY = "offhook_read_only"
_BUSY_TIMEOUT_MS = 5_000
_TURN_LIMIT_S = 5.0
"""With the lock's own wait, a locked database is told of within ten seconds."""


class Database:
    """Sessions on one database, and what tells of changes that any process made.

    `clock`, `engine` and `waker` stand for the database's own time, connections and wake-ups.
    """

    def __init__(
        self,
        url: str,
        *,
        wake_folder: Path,
        pool_size: int = 10,
        clock: Callable[[], datetime] | None = None,
        engine: AsyncEngine | None = None,
        waker: Waker | None = None,
    ):
        self.url = url
        self.engine = engine or _create(url, pool_size=pool_size)
        self.changes, self.history = ChangeNotifier(), ChangeNotifier()
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._wake_folder = wake_folder
        self._info = {CLOCK: clock} if clock is not None else {}
        if waker is None and self.is_sqlite:
            waker = SocketWaker(wake_folder)
        self._waker = waker
        # SQLite has one writer: who waits in line here need not ask it again and again.
        self._turn = asyncio.Lock() if self.is_sqlite else None
        self._reader = self.engine.execution_options(**{_READ_ONLY: True})

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that is committed at the end, or rolled back by an exception.

        After the commit the other processes are woken if `wake(db)` was called.

        Raises:
            sqlalchemy.exc.OperationalError, TimeoutError: the database stayed locked; nothing was
                written.
        """
        async with (
            self._my_turn(),
            AsyncSession(self.engine, expire_on_commit=False, info=self._info) as db,
        ):
            async with db.begin():
                await db.connection()  # begins: the time read next is not older than the lock
                yield db
                is_work = db.info.get(_IS_WORK)
                if is_work is not None and self._waker is None:
                    told = {"channel": CHANNEL, "told": "" if is_work else READ}
                    await db.execute(text("SELECT pg_notify(:channel, :told)"), told)
            if is_work is not None and self._waker is not None:
                self._waker.wake(is_work=is_work)

    @contextlib.asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """Wait in line, and not for ever: each before us may wait for the lock in vain."""
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(_TURN_LIMIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise LockTimeout("others waited for the locked database all the time") from None
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Yield a session for reading; it never waits for writers on SQLite."""
        async with AsyncSession(self._reader, expire_on_commit=False, info=self._info) as db:
            yield db

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[ChangeNotifier]:
        """Yield what tells of changes, for as long as the context is open."""
        told = Changes(self.changes, self.history)
        if self.is_sqlite:
            listener = listen_on_socket(self._wake_folder, told)
        else:
            plain = make_url(self.url).set(drivername="postgresql")
            listener = listen_on_postgresql(plain.render_as_string(hide_password=False), told)
        async with listener:
            yield self.changes

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        if self._waker is not None:
            self._waker.close()


def wake(db: AsyncSession, *, is_work: bool = True) -> None:
    """Wake the other processes once this session's transaction is committed.

    Args:
        is_work: there is work; else only something to read in a history.
    """
    db.info[_IS_WORK] = is_work or db.info.get(_IS_WORK, False)


def _create(url: str, *, pool_size: int) -> AsyncEngine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(
            parsed, pool_size=pool_size, pool_pre_ping=True, hide_parameters=True
        )
    engine = create_async_engine(
        parsed,
        pool_size=pool_size,
        connect_args={"async_creator_fn": connect},
        pool_reset_on_return=None,  # what a session leaves open, it rolls back itself
        hide_parameters=True,
    )
    prepare(engine)
    return engine


def prepare(engine: AsyncEngine) -> None:
    """Let an engine on SQLite begin its transactions as `Database` needs them."""
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's sqlite3 would begin late and never IMMEDIATE; we begin ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read lock later fails instead of waiting.
    deferred = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
