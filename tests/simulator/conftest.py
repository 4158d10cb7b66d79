"""Tell where the suite's schedules begin: they are others with every commit."""

from __future__ import annotations

import pytest

from tests.simulator.commit import first_seed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the first schedule's seed."""
    terminalreporter.write_line(f"The first simulated schedule was the one of seed {first_seed()}.")
