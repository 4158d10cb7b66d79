"""Bringing the schema up to date on start; an older copy is kept, a newer schema is refused."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.rewriting import LEAVES_NO_TRACE
from process.logs import get_logger

_SCRIPTS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 7_236_114
log = get_logger(__name__)


class SchemaTooNew(Exception):
    """The database belongs to a newer release; start that release, or restore a backup."""

    def __init__(self, revision: str):
        super().__init__(
            f"the database has schema {revision}, which this release does not know: "
            "start the newer release again, or restore the .bak file beside the database"
        )
        self.revision = revision


async def migrate(database: Database, *, vault: Vault | None = None, to: str | None = None) -> None:
    """Apply every missing migration, or those up to the revision `to`.

    Args:
        vault: seals what older releases kept in clear; without one, such rows are an error.

    Raises:
        SchemaTooNew: the schema is from a newer release.
    """
    path = _file_of(database)
    if path is not None:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    head = to or _scripts().get_current_head()
    async with database.engine.connect() as connection:
        current = await connection.run_sync(_revision)
    if current == head:
        return
    known = {script.revision for script in _scripts().walk_revisions()}
    if current is not None and current not in known:
        raise SchemaTooNew(current)
    if path is not None and current is not None:
        await asyncio.to_thread(back_up, path, path.with_name(f"{path.name}.before-{head}.bak"))
    config = _config()
    config.attributes["vault"] = vault
    async with (
        database.engine.connect() as connection,
        _tables_may_be_rebuilt(connection),
        connection.begin(),
    ):
        await connection.run_sync(_upgrade, config, head)
    if database.is_sqlite:
        async with database.engine.connect() as connection:
            await connection.run_sync(
                _tidy, anew=current is not None and LEAVES_NO_TRACE in config.attributes
            )
    log.info("the database schema is up to date", revision=head, before=current)


def _tidy(connection: Connection, *, anew: bool) -> None:
    """Leave nothing in SQLite's log of what rows were before; `anew`: nor in its file."""
    cursor = connection.connection.cursor()  # as in `_set_foreign_keys`
    if anew:
        cursor.execute("VACUUM")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cursor.close()


@contextlib.asynccontextmanager
async def _tables_may_be_rebuilt(connection: AsyncConnection) -> AsyncIterator[None]:
    """Let SQLite drop and make anew a table that others refer to; `_upgrade` checks afterwards.

    https://www.sqlite.org/lang_altertable.html, section 7: it must be said before the transaction.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    await connection.run_sync(_set_foreign_keys, "OFF")
    try:
        yield
    finally:
        await connection.run_sync(_set_foreign_keys, "ON")


def _set_foreign_keys(connection: Connection, state: str) -> None:
    cursor = connection.connection.cursor()  # SQLAlchemy's own would begin a transaction
    cursor.execute(f"PRAGMA foreign_keys={state}")
    cursor.close()


def _file_of(database: Database) -> Path | None:
    name = make_url(database.url).database
    return Path(name) if database.is_sqlite and name else None


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@functools.cache
def _scripts() -> ScriptDirectory:
    """Return the migrations; each is a module, loaded once in a process."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _upgrade(connection: Connection, config: Config, revision: str | None) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    config.attributes["connection"] = connection
    command.upgrade(config, revision or "head")
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise RuntimeError(f"the migration left rows that refer to nothing: {broken[:5]}")


def back_up(path: Path, target: Path) -> None:
    """Copy a database that others may be using (SQLite's online backup)."""
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    target.chmod(0o600)
    log.info("the database was copied before the migration", copy=str(target))
