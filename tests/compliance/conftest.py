"""The API over each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.offices import Office, office


@pytest.fixture
async def desk(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    """The API after a first start, with clients."""
    async with office(tmp_path, database_url) as made:
        yield made
