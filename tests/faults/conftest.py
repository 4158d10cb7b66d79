"""One Offhook for all tests of this folder: starting it takes longer than most faults.

Machine time: any. What is judged are rows and the far end's log, however late they come; limits
are several times what an idle machine needs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.stage import Stage, stage
from tests.postgres import Databases


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a running Offhook on SQLite that has no scheduler."""
    with stage(tmp_path_factory.mktemp("faults")) as opened:
        yield opened


@pytest.fixture
def on_postgresql(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Return a running Offhook on PostgreSQL that has no scheduler."""
    folder = tmp_path_factory.mktemp("faults")
    with databases.bare() as url, stage(folder, OFFHOOK_DATABASE_URL=url) as opened:
        yield opened
