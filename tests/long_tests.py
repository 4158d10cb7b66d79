"""Tests that are marked `long`: left out where nobody asks for them."""

from __future__ import annotations

import os

import pytest

VARIABLE = "OFFHOOK_TEST_LONG"
"""Set where they run as well: by `make test-long`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long, unless it is asked for by its own name or with all that is."""
    if os.environ.get(VARIABLE) or any("::" in each for each in config.args):
        return
    left = [item for item in items if item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
