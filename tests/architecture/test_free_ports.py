"""What the tests themselves stand on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.free_ports import block

pytestmark = pytest.mark.unit


def test_no_two_threads_are_handed_the_same_ports() -> None:
    with ThreadPoolExecutor(16) as threads:
        given = [*threads.map(block, [2] * 80)]
    assert len(set(given)) == 80
