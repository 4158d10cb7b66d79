"""The whole suite: `python -m tests.suite`; with arguments, pytest with these.

The faults wait more than they work, and are judged by what the far end saw, however late; the
simulator's time is not the machine's. So they run beside the tests that need no quiet machine;
calls with sound come after both, alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

PYTEST = [sys.executable, "-m", "pytest"]
BESIDE = ["tests/faults", "tests/simulator"]
ALONE = ["tests/system", "tests/contract/sip", "tests/carrier"]
BESIDE_LIMIT_S = 1_800.0


def main() -> int:
    """Run everything and return the exit status."""
    if sys.argv[1:]:
        return subprocess.run([*PYTEST, *sys.argv[1:]], check=False).returncode
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        command = [*PYTEST, "-p", "no:cacheprovider", *BESIDE]
        with subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT) as beside:
            _tell(f"{' and '.join(BESIDE)} run beside the tests below; their report follows.")
            quiet = _run(*(f"--ignore={folder}" for folder in (*BESIDE, *ALONE)))
            try:
                beside.wait(BESIDE_LIMIT_S)
            except subprocess.TimeoutExpired:
                beside.terminate()
            told.seek(0)
            _tell(told.read())
    heard = _run(*ALONE)
    statuses = {"beside": beside.returncode, "alone": heard, "the others": quiet}
    failed = [name for name, status in statuses.items() if status]
    took = round(time.monotonic() - began)
    _tell(f"The suite took {took} s: {', '.join(failed) + ' failed' if failed else 'all passed'}")
    return 1 if failed else 0


def _run(*options: str) -> int:
    return subprocess.run([*PYTEST, *options], check=False).returncode


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
