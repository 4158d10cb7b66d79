"""Waking other processes after a commit, so that nobody polls faster than once a second.

SQLite: a byte to every Unix datagram socket in the data folder. PostgreSQL: NOTIFY. A wake-up
is a hint; who misses one finds the work in the next sweep. It says whether there is work, or only
something to read: of the thirty happenings of a call most are of the second kind.

`PRAGMA data_version` would say neither which it is nor anything soon: looked at every 20 ms, for
nearly a hundredth of a core in each idle process, it comes eight times as late as a byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import asyncpg  # type: ignore[import-untyped]

from process.logs import get_logger
from process.unix_sockets import short_path

CHANNEL = "offhook_wake"
READ = "read"
"""What NOTIFY carries where there is something to read, and nothing to do."""
_WORK_BYTE, _READ_BYTE = b"!", b"r"
_MANY = 8
"""Of so many at once some may not have been taken: one of them may have said that there is work."""
log = get_logger(__name__)


class ChangeNotifier:
    """Tells every task of this process that waits for something to change."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = asyncio.Event()

    @property
    def count(self) -> int:
        """How many there were; read it before looking, so that none between is missed."""
        return self._count

    def notify(self) -> None:
        """Wake every waiter."""
        self._count += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, *, since: int, timeout_s: float) -> bool:
        """Return True once it changed after `since`, False when `timeout_s` passed without."""
        if self._count != since:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Changes(NamedTuple):
    """What a process is told of."""

    work: ChangeNotifier
    """Rows that somebody acts on."""
    history: ChangeNotifier
    """Anything that is told of a call; work comes with something to read."""

    def notify(self, *, is_work: bool) -> None:
        """Wake who waits for this."""
        if is_work:
            self.work.notify()
        self.history.notify()


class Waker(Protocol):
    """Tells the other processes that rows have changed."""

    def wake(self, *, is_work: bool = True) -> None:
        """Do it; never raises and never blocks."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


class SocketWaker:
    """A byte to each socket in `folder`; sockets that nobody reads any more are removed."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def wake(self, *, is_work: bool = True) -> None:
        """Wake every listener of this installation."""
        told = _WORK_BYTE if is_work else _READ_BYTE
        for path in self._folder.glob("*.sock"):
            try:
                with short_path(path) as name:
                    self._socket.sendto(told, name)
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
            except OSError as exc:
                # A full queue already holds the wake-up.
                if not isinstance(exc, BlockingIOError):
                    log.debug("a wake-up was not taken", error=exc)

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def _bind(folder: Path) -> tuple[socket.socket, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    with short_path(path) as name:
        receiver.bind(name)
    return receiver, path


@contextlib.asynccontextmanager
async def listen_on_socket(folder: Path, changes: Changes) -> AsyncIterator[None]:
    """Notify `changes` of every wake-up sent to `folder` while the context is open."""
    receiver, path = _bind(folder)

    def drain() -> None:
        told = []
        with contextlib.suppress(BlockingIOError):
            while byte := receiver.recv(64):
                told.append(byte)
        changes.notify(is_work=_WORK_BYTE in told or len(told) >= _MANY)

    loop = asyncio.get_running_loop()
    loop.add_reader(receiver, drain)
    try:
        yield
    finally:
        loop.remove_reader(receiver)
        receiver.close()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def listen_on_postgresql(dsn: str, changes: Changes) -> AsyncIterator[None]:
    """Notify `changes` of every NOTIFY while the context is open; a lost connection is made again.

    It is entered when the first connection listens, or failed to: no wake-up of later is missed.
    """
    tried = asyncio.Event()
    task = asyncio.create_task(_listen(dsn, changes, tried))
    try:
        await tried.wait()
        yield
    finally:
        while not task.done():  # asyncpg may take a cancellation for its own timeout
            task.cancel()
            await asyncio.wait([task], timeout=1.0)


async def _listen(dsn: str, changes: Changes, tried: asyncio.Event) -> None:
    def changed(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        changes.notify(is_work=payload != READ)

    while True:
        try:
            async with _listener(dsn, changed) as lost:
                if tried.is_set():
                    changes.notify(is_work=True)  # nobody listened meanwhile
                tried.set()
                await lost.wait()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            tried.set()
            log.warning("cannot listen for wake-ups", error=exc)
            await asyncio.sleep(1.0)  # the pace of reconnection


@contextlib.asynccontextmanager
async def _listener(dsn: str, changed: Callable[..., None]) -> AsyncIterator[asyncio.Event]:
    """Yield what is set when the connection is lost that calls `changed` for every NOTIFY."""
    lost = asyncio.Event()
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(CHANNEL, changed)
        yield lost
    finally:
        await connection.close(timeout=2)
