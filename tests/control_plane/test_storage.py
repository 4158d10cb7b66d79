"""Migrations, keys on disk, wake-ups, the first start."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text

from control_plane.app import open_resources
from control_plane.db.crypto import KeyLost, Vault, load_or_create
from control_plane.db.engine import Database, wake
from control_plane.db.migrate import SchemaTooNew, back_up, migrate
from control_plane.db.models.organization import ApiKey, Organization
from control_plane.db.models.registry import METADATA, MODULES
from control_plane.domain.ids import new_id
from control_plane.settings import Settings
from tests.factories import ago
from tests.free_ports import block

pytestmark = [pytest.mark.db, pytest.mark.engines]


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection)
    return list(compare_metadata(context, METADATA))


async def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    assert MODULES
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await migrate(database)  # again: nothing to do


async def test_a_newer_schema_is_refused(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="9999"):
        await migrate(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_older_database_is_copied_first(tmp_path: Path, database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE kept (x)")
    target = tmp_path / "copy.bak"
    back_up(tmp_path / "offhook.db", target)
    copy = sqlite3.connect(target)
    tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}
    copy.close()
    assert {"kept", "call_order"} <= tables
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_is_durable(database: Database) -> None:
    async with database.engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            row = await connection.exec_driver_sql(f"PRAGMA {pragma}")
            assert row.scalar() == value


async def test_a_commit_wakes_the_other_processes(tmp_path: Path, database: Database) -> None:
    other = Database(database.url, wake_folder=tmp_path / "wake")
    before = database.changes.count
    async with other.transaction() as session:
        session.add(Organization(id=new_id(), name="a", created_at=ago()))
        wake(session)
    assert await database.changes.wait(since=before, timeout_s=5)
    quiet = database.changes.count
    async with other.transaction() as session:
        session.add(Organization(id=new_id(), name="b", created_at=ago()))
    assert not await database.changes.wait(since=quiet, timeout_s=0.05)
    await other.close()


async def test_what_is_only_to_be_read_wakes_nobody_who_works(
    tmp_path: Path, database: Database
) -> None:
    other = Database(database.url, wake_folder=tmp_path / "wake")
    work, history = database.changes.count, database.history.count
    async with other.transaction() as session:
        wake(session, is_work=False)
    assert await database.history.wait(since=history, timeout_s=5)
    assert database.changes.count == work
    async with other.transaction() as session:
        wake(session)
        wake(session, is_work=False)
    assert await database.changes.wait(since=work, timeout_s=5)
    await other.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_where_wake_ups_may_have_been_dropped_there_is_work(
    tmp_path: Path, database: Database
) -> None:
    other = Database(database.url, wake_folder=tmp_path / "wake")
    before = database.changes.count
    assert other._waker is not None
    for _ in range(20):  # at once: the loop reads none of them meanwhile
        other._waker.wake(is_work=False)
    assert await database.changes.wait(since=before, timeout_s=5)
    await other.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_lost_the_connection_looks_again(database: Database) -> None:
    before = database.changes.count
    async with database.transaction() as session:
        found = await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query ~ '^LISTEN'"
            )
        )
        assert found.all() == [(True,)]
    assert await database.changes.wait(since=before, timeout_s=20)


async def test_a_database_that_is_away_is_waited_for_in_the_background(tmp_path: Path) -> None:
    away = Database(
        f"postgresql+asyncpg://nobody@127.0.0.1:{block(1)}/none", wake_folder=tmp_path / "wake"
    )
    async with asyncio.timeout(10), away.listening():
        pass
    await away.close()


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            session.add(Organization(id=new_id(), name="a", created_at=ago()))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()
    async with database.reading() as session:
        assert (await session.scalars(select(Organization))).all() == []


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    assert load_or_create(path, b"one") == b"one"
    assert load_or_create(path, b"two") == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_vault_reads_with_older_keys_and_says_when_one_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = Vault.open(path).seal("ours")
    newer = Vault.open(tmp_path / "other.key")
    with pytest.raises(KeyLost):
        newer.unseal(sealed)
    path.write_bytes((tmp_path / "other.key").read_bytes() + path.read_bytes())
    assert Vault.open(path).unseal(sealed) == "ours"


async def test_a_second_start_leaves_the_first_key(settings: Settings) -> None:
    async with open_resources(settings):
        pass
    path = settings.storage.folder / "credentials.toml"
    first = path.read_bytes()
    async with (
        open_resources(settings) as resources,
        resources.database.reading() as session,
    ):
        [key] = (await session.scalars(select(ApiKey))).all()
    assert path.read_bytes() == first
    assert key.prefix.encode() in first
    assert key.sha256.encode() not in first
