"""Tell where the suite's schedules begin: they are others with every commit."""

from __future__ import annotations

import pytest

from tests.simulator.commit import first_seed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the first schedule's seed, where schedules were run."""
    reports = (
        report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())
    )
    if any("test_no_schedule_breaks_a_promise" in report.nodeid for report in reports):
        seed = first_seed()
        terminalreporter.write_line(f"The first simulated schedule was the one of seed {seed}.")
