"""The embedded engines, loaded once for all the tests that speak or listen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from speech.prewarm import OfflineEngines, load_offline


@pytest.fixture(scope="session")
def engines() -> Iterator[OfflineEngines]:
    loaded = load_offline()
    yield loaded
    loaded.close()
