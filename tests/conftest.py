"""Fixtures that several packages' tests share: a real database, a vault, a signer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import settings

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.keys.tokens import TokenSigner
from process.gc_tuning import begin_gc
from tests import holding
from tests.holding import Held
from tests.long_tests import pytest_collection_modifyitems
from tests.postgres import Databases, making, server

__all__ = ["pytest_collection_modifyitems"]

settings.register_profile("suite", deadline=None)  # the machine is shared
settings.load_profile("suite")

_held: list[Held] = []
holding.watch(_held)


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of each collection of garbage: it stays, and is much."""
    begin_gc()


@pytest.fixture(autouse=True)
def held_too_long() -> Iterator[list[Held]]:
    """Write transactions that held SQLite for too long: none may be left at the test's end."""
    _held.clear()
    yield _held
    if _held:
        pytest.fail("\n".join(map(str, _held)))


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server and what makes databases on it."""
    with server() as address, making(address, _prepare) as maker:
        yield maker


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of this release to copy."""
    path = tmp_path_factory.mktemp("template") / "offhook.db"
    url = f"sqlite+aiosqlite:///{path}"
    with ThreadPoolExecutor(1) as thread:  # a test's loop may be running already in this one
        thread.submit(asyncio.run, _prepare(url)).result(60)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty database with the schema of this release is."""
    if request.param == "sqlite":
        copy = tmp_path / "offhook.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), copy)
        yield f"sqlite+aiosqlite:///{copy}"
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.prepared() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database without any schema is."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}"
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.bare() as url:
        yield url


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


async def _prepare(url: str) -> None:
    template = Database(url, wake_folder=Path("/nowhere"))
    await migrate(template)
    await template.close()


@pytest.fixture
def vault() -> Vault:
    """A vault with a fresh key."""
    return Vault([Fernet.generate_key()])


@pytest.fixture
def signer() -> TokenSigner:
    """A signer with a fixed key."""
    return TokenSigner(b"k" * 64)
