"""The application that the contracts are held against, started once per module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.served import served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first key."""
    async with served(tmp_path_factory.mktemp("data")) as running:
        yield running.client
