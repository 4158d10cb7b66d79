"""Tests that are marked `long`: left out where nobody asks for them.

A test that runs on both engines is long on PostgreSQL, unless its module is marked `engines`: what
it shows could differ there (locks, waking, counting, order, time, what a migration makes).
"""

from __future__ import annotations

import os

import pytest

VARIABLE = "OFFHOOK_TEST_LONG"
"""Set where they run as well: by `make test-long`."""
SECOND_ENGINE = "postgresql"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long, unless it is asked for by its own name or with all that is."""
    for item in items:
        if _is_on_the_second_engine(item) and not item.get_closest_marker("engines"):
            item.add_marker("long")
    if os.environ.get(VARIABLE) or any("::" in each for each in config.args):
        return
    left = [item for item in items if item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _is_on_the_second_engine(item: pytest.Item) -> bool:
    called_with = getattr(item, "callspec", None)
    return called_with is not None and SECOND_ENGINE in map(str, called_with.params.values())
