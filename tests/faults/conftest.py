"""One Offhook for all tests of this folder: starting it takes longer than most faults.

Machine time: any. What is judged are rows and the far end's log, however late they come; limits
are several times what an idle machine needs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg  # type: ignore[import-untyped]
import pytest

from tests.faults.stage import Stage, stage


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a running Offhook on SQLite that has no scheduler."""
    with stage(tmp_path_factory.mktemp("faults")) as opened:
        yield opened


@pytest.fixture
def on_postgresql(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a running Offhook on PostgreSQL that has no scheduler."""
    name = f"faults{uuid.uuid4().hex}"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _create(postgres, name)).result(60)
    url = f"postgresql+asyncpg://postgres@{postgres}/{name}"
    with stage(tmp_path_factory.mktemp("faults"), OFFHOOK_DATABASE_URL=url) as opened:
        yield opened


async def _create(address: str, name: str) -> None:
    connection = await asyncpg.connect(f"postgresql://postgres@{address}/postgres")
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
