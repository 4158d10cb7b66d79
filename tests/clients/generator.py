"""The generator of Python clients, in a virtual environment of its own.

It holds libraries back that Offhook has newer. `python -m tests.clients.generator` installs it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from offhook.dependencies import LOCKS, install

LOCK = "clients"


def obtain(environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Return the Python that has the generator, installed as its lock says.

    Raises:
        SetUpFailed: naming the cure.
    """
    cache = Path(environ.get("XDG_CACHE_HOME") or Path(environ["HOME"]) / ".cache") / "offhook"
    cache.mkdir(parents=True, exist_ok=True)
    venv = cache / LOCK
    stamp = venv / ".lock"
    wanted = hashlib.sha256((LOCKS / f"{LOCK}.txt").read_bytes()).hexdigest()
    with (cache / f"{LOCK}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            say("Installing the generator of Python clients, once")
            shutil.rmtree(venv, ignore_errors=True)
            command = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
            subprocess.run(command, check=True, timeout=60)
            install(LOCK, venv, environ, say)
            stamp.write_text(wanted)
    return venv / "bin" / "python"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    obtain(os.environ, _tell)
