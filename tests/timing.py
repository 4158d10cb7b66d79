"""How long each test took, which failed, what was loaded; for `tests.suite`: `-p tests.timing`.

OFFHOOK_TEST_TIMES names the file that is written at the end.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

VARIABLE = "OFFHOOK_TEST_TIMES"
ROOT = Path(__file__).resolve().parents[1]


class Times(msgspec.Struct):
    """What one pytest took.

    Args:
        tests: seconds of each test with what it set up and took down, by its name.
        failed: why each test failed that did, by its name.
        cpu_s: seconds of processors, of pytest and of every process that it has seen end.
        modules: the files of this repository that were imported, from its root.
    """

    tests: dict[str, float]
    failed: dict[str, str]
    cpu_s: float
    modules: list[str]


def read(path: Path) -> Times:
    """Return what was written; nothing, where pytest did not come so far."""
    if not path.exists():
        return Times({}, {}, 0.0, [])
    return msgspec.json.decode(path.read_bytes(), type=Times)


class _Watch:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tests: defaultdict[str, float] = defaultdict(float)
        self._failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tests[report.nodeid] += report.duration
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self._failed[report.nodeid] = crash.message if crash else report.longreprtext

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = report.longreprtext

    def pytest_sessionfinish(self) -> None:
        times = os.times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        told = Times(dict(self._tests), self._failed, cpu_s, sorted(_own_modules()))
        self._path.write_bytes(msgspec.json.encode(told))


def _own_modules() -> set[str]:
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    paths = (Path(file) for file in files if file)
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts
    }


def pytest_configure(config: pytest.Config) -> None:
    """Watch, where somebody asks for it."""
    path = os.environ.get(VARIABLE)
    if path:
        config.pluginmanager.register(_Watch(Path(path)), "offhook-times")
