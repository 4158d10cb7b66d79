"""What the tests themselves stand on."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.free_ports import area, block

pytestmark = pytest.mark.unit


def test_no_two_threads_are_handed_the_same_ports() -> None:
    with ThreadPoolExecutor(16) as threads:
        given = [*threads.map(block, [2] * 80)]
    assert len(set(given)) == 80


def test_the_areas_of_a_process_are_its_own() -> None:
    given = [area() for _ in range(3)]
    assert len(set(given)) == 3
    program = "from tests.free_ports import area; print(area())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(told.stdout) not in given
