"""Another worker takes the calls while this one begins anew.

The process keeps its id, so that whoever watches it (`offhook up`, a container's runtime) sees no
end: it starts a second worker, waits until that one takes calls, lets its own calls end, and runs
itself again from the beginning. Once registered, it sends the second one away, which lets its
calls end too. At every moment one of the two takes calls.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from msgspec import Struct

PID, READY = "OFFHOOK_WORKER_STAND_IN_PID", "OFFHOOK_WORKER_READY_FD"
"""How the two tell each other of themselves; nobody else sets these."""
DISMISS = signal.SIGUSR1
START_LIMIT_S = 120.0
_COMMAND = (sys.executable, "-m", "agent", "start")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class NoStandIn(Exception):
    """The second worker did not come to take calls."""


class Role(Struct, frozen=True):
    """What this worker is to another: its stand-in, or the one that was stood in for.

    Attributes:
        environ: what either is started with.
        ready_fd: where a stand-in tells that it takes calls.
        stand_in: the process that stands in for this one.
    """

    environ: Mapping[str, str]
    ready_fd: int | None = None
    stand_in: int | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Role:
        """Read the role that the other worker gave to this one."""
        fd, pid = environ.get(READY), environ.get(PID)
        return cls(environ, int(fd) if fd else None, int(pid) if pid else None)

    def assume(self) -> None:
        """Have a stand-in end with the worker that started it."""
        if self.ready_fd is not None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def report_registered(self) -> None:
        """Tell the other worker that this one takes calls."""
        if self.ready_fd is not None:
            os.write(self.ready_fd, b"1")
            os.close(self.ready_fd)
        if self.stand_in is not None:
            _send(self.stand_in, DISMISS)
            threading.Thread(target=_wait_for, args=(self.stand_in,), daemon=True).start()


async def start(environ: Mapping[str, str]) -> int:
    """Start a stand-in in this environment; its process id, once it takes calls.

    Raises:
        NoStandIn: it does not within `START_LIMIT_S`; it is gone.
    """
    listening, telling = os.pipe()
    try:
        process = _spawn({**environ, READY: str(telling), PID: ""}, telling)
    except OSError as exc:
        os.close(listening)
        raise NoStandIn(f"it could not be started: {exc}") from exc
    finally:
        os.close(telling)
    try:
        is_ready = await asyncio.to_thread(_is_told, listening)
    except asyncio.CancelledError:
        process.kill()
        raise
    if not is_ready:
        process.kill()
        raise NoStandIn(f"it ended, or took no calls within {START_LIMIT_S:.0f} s")
    return process.pid


async def end(pid: int, limit_s: float) -> None:
    """Stop a stand-in together with this worker; it lets its calls end for so long."""
    _send(pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await asyncio.to_thread(_wait_for, pid)


def begin_anew(stand_in: int, environ: Mapping[str, str]) -> NoReturn:
    """Run this process again from its beginning."""
    os.execve(_COMMAND[0], _COMMAND, {**environ, PID: str(stand_in), READY: ""})


def _spawn(environ: Mapping[str, str], telling: int) -> subprocess.Popen[bytes]:
    """Start the process from this very thread, with whose end the system would end it."""
    return subprocess.Popen(_COMMAND, env=environ, pass_fds=(telling,))


def _is_told(fd: int) -> bool:
    try:
        readable, _, _ = select.select([fd], [], [], START_LIMIT_S)
        return bool(readable) and os.read(fd, 1) == b"1"
    finally:
        os.close(fd)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_for(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
