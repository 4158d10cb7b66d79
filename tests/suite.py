"""The whole suite: `python -m tests.suite`; with arguments, pytest with these.

The faults wait more than they work, and are judged by what the far end saw, however late; the
simulator's time is not the machine's, and it takes what the others leave. So they run beside the
tests that need no quiet machine; what sounds in real time comes after all of them, alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

PYTEST = [sys.executable, "-m", "pytest"]
BESIDE = {"faults": ["tests/faults"], "simulator": ["tests/simulator"]}
YIELDING = {"simulator"}
ALONE = ["tests/agent", "tests/system", "tests/contract/sip", "tests/carrier"]
BESIDE_LIMIT_S = 1_800.0


def main() -> int:
    """Run everything and return the exit status."""
    if sys.argv[1:]:
        return subprocess.run([*PYTEST, *sys.argv[1:]], check=False).returncode
    began = time.monotonic()
    elsewhere = [*ALONE, *(folder for folders in BESIDE.values() for folder in folders)]
    with ExitStack() as stack:
        lanes = {name: _Lane(stack, name) for name in BESIDE}
        _tell(f"The {' and the '.join(BESIDE)} run beside the tests below; their reports follow.")
        statuses = {"the others": _run(*(f"--ignore={folder}" for folder in elsewhere))}
        statuses |= {name: lane.finished(began + BESIDE_LIMIT_S) for name, lane in lanes.items()}
    statuses["alone"] = _run(*ALONE)
    failed = [name for name, status in statuses.items() if status]
    took = round(time.monotonic() - began)
    _tell(f"The suite took {took} s: {', '.join(failed) + ' failed' if failed else 'all passed'}")
    return 1 if failed else 0


class _Lane:
    """Tests that run beside the others, until `stack` is closed at the latest."""

    def __init__(self, stack: ExitStack, name: str):
        command = [*PYTEST, "-p", "no:cacheprovider", *BESIDE[name]]
        told = tempfile.TemporaryFile("w+")  # noqa: SIM115  # the stack closes it
        self._told = stack.enter_context(told)
        self._run = stack.enter_context(
            subprocess.Popen(
                command,
                stdout=told,
                stderr=subprocess.STDOUT,
                preexec_fn=_take_what_is_left if name in YIELDING else None,
            )
        )
        stack.callback(self._run.terminate)

    def finished(self, until: float) -> int:
        """Tell what it reports and return its exit status, once it is over or out of time."""
        try:
            self._run.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._run.terminate()
        status = self._run.wait()
        self._told.seek(0)
        _tell(self._told.read())
        return status


def _take_what_is_left() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _run(*options: str) -> int:
    return subprocess.run([*PYTEST, *options], check=False).returncode


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
