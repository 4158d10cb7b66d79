"""Fixtures that several packages' tests share: a real database, a vault, a signer."""

from __future__ import annotations

import asyncio
import gc
import shutil
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from cryptography.fernet import Fernet

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.keys.tokens import TokenSigner
from tests import holding
from tests.holding import Held
from tests.long_tests import pytest_collection_modifyitems
from tests.postgres import server

__all__ = ["pytest_collection_modifyitems"]

_TEMPLATE = "offhook_template"
_held: list[Held] = []
holding.watch(_held)


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of each collection of garbage: it stays, and is much."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def held_too_long() -> Iterator[list[Held]]:
    """Write transactions that held SQLite for too long: none may be left at the test's end."""
    _held.clear()
    yield _held
    if _held:
        pytest.fail("\n".join(map(str, _held)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server with an empty database of this release to copy; its host and port."""
    with server() as address:
        _elsewhere(_make_template(address))
        yield address


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of this release to copy."""
    path = tmp_path_factory.mktemp("template") / "offhook.db"
    _elsewhere(_prepare(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty database with the schema of this release is."""
    if request.param == "sqlite":
        copy = tmp_path / "offhook.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), copy)
        yield f"sqlite+aiosqlite:///{copy}"
        return
    yield from _database(request.getfixturevalue("postgres"), f"TEMPLATE {_TEMPLATE}")


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database without any schema is."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}"
        return
    yield from _database(request.getfixturevalue("postgres"), "")


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with the schema of this release, listening for wake-ups."""
    opened = Database(database_url, wake_folder=tmp_path / "wake")
    try:
        await migrate(opened)
        async with opened.listening():
            yield opened
    finally:
        await opened.close()


def _database(address: str, made_from: str) -> Iterator[str]:
    """Yield where a fresh database of the server is; it is dropped afterwards."""
    name = f"t{uuid.uuid4().hex}"
    _elsewhere(_administer(address, f'CREATE DATABASE "{name}" {made_from}'))
    yield f"postgresql+asyncpg://postgres@{address}/{name}"
    _elsewhere(_administer(address, f'DROP DATABASE "{name}" WITH (FORCE)'))


def _elsewhere(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` on a loop of its own: a test's loop may be running already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result(60)


async def _make_template(address: str) -> None:
    await _administer(address, f"CREATE DATABASE {_TEMPLATE}")
    await _prepare(f"postgresql+asyncpg://postgres@{address}/{_TEMPLATE}")


async def _prepare(url: str) -> None:
    template = Database(url, wake_folder=Path("/nowhere"))
    await migrate(template)
    await template.close()


async def _administer(address: str, statement: str) -> None:
    connection = await asyncpg.connect(f"postgresql://postgres@{address}/postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a fresh key."""
    return Vault([Fernet.generate_key()])


@pytest.fixture
def signer() -> TokenSigner:
    """A signer with a fixed key."""
    return TokenSigner(b"k" * 64)
