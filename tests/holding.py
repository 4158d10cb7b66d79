"""How long write transactions hold SQLite, on which everybody else waits for them.

What a busy machine adds is left out: of statements the time that their thread had the processor
counts, of everything between them the time that the event loop's thread did not wait in line for
one. So work in Python counts, and waiting for anything but the database counts, too. Collecting
garbage does not: how much there is of it is the tests' doing.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, event

LIMIT_S = 0.35
"""A quarter of a second, and what an idle machine was slower by from one hour to the next: 1.4."""
BATCH_LIMIT_S, BATCH = 2.5, 10_000
"""For a transaction that writes so many rows by one statement; for fewer, the same share. The
longest that there is takes 0.6 to 1.1 s, and 1.8 at hours when the machine is slow."""

_HOLD = "offhook_hold"
_MIGRATION = "alembic_version"
_SHOWN = 160
_local = threading.local()


class Held(Struct, frozen=True):
    """A transaction that held the database for too long, and what took longest in it."""

    held_s: float
    limit_s: float
    longest_s: float
    longest: str

    def __str__(self) -> str:
        return (
            f"a write transaction held SQLite for {self.held_s:.3f} s, {self.limit_s:.3f} s is the "
            f"limit; the longest, {self.longest_s:.3f} s: {self.longest}"
        )


class _Garbage:
    """The time that its collection took; meanwhile every thread stands still."""

    def __init__(self) -> None:
        self.took_s = 0.0
        self._began_s = 0.0

    def told(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.monotonic()
        else:
            self.took_s += time.monotonic() - self._began_s


_garbage = _Garbage()


class _Hold:
    """One transaction since it has the lock."""

    def __init__(self, connection: Connection):
        driver: Any = connection.connection.driver_connection
        thread = getattr(driver, "_thread", None)  # the simulator's has none
        self._clock = time.pthread_getcpuclockid(thread.ident if thread else threading.get_ident())
        self.held_s = 0.0
        self.longest = (0.0, "")
        self.rows = 1
        self.is_migration = False
        self._last = "BEGIN"
        self._began_s = 0.0
        self._since_s = _not_in_line_s()

    def begin(self, statement: str) -> None:
        self._add(_not_in_line_s() - self._since_s, f"between {self._last} and {statement}")
        self._began_s = time.clock_gettime(self._clock)

    def end(self, statement: str, rows: int) -> None:
        self._add(time.clock_gettime(self._clock) - self._began_s, statement)
        self._last, self.rows = statement, max(self.rows, rows)
        self._since_s = _not_in_line_s()

    def close(self) -> Held | None:
        self._add(_not_in_line_s() - self._since_s, f"between {self._last} and COMMIT")
        limit_s = max(LIMIT_S, BATCH_LIMIT_S * min(self.rows, BATCH) / BATCH)
        if self.is_migration or self.held_s <= limit_s:
            return None
        return Held(self.held_s, limit_s, *self.longest)

    def _add(self, seconds: float, what: str) -> None:
        self.held_s += seconds
        self.longest = max(self.longest, (seconds, what))


def _not_in_line_s() -> float:
    """Return a clock that stands still while this thread could run and has no processor."""
    handle: int | None = getattr(_local, "handle", None)
    if handle is None:
        handle = _local.handle = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    _ran_ns, waited_ns, _slices = os.pread(handle, 100, 0).split()
    return time.monotonic() - int(waited_ns) / 1e9 - _garbage.took_s


def watch(found: list[Held]) -> None:
    """From now on, add to `found` each write transaction of this process that takes too long."""

    def before(connection: Connection, *told: Any) -> None:
        hold: _Hold | None = connection.info.get(_HOLD)
        if hold is not None:
            hold.begin(_short(told[1]))

    def after(connection: Connection, *told: Any) -> None:
        _cursor, statement, parameters, context, is_many = told
        if statement == "BEGIN IMMEDIATE":
            connection.info[_HOLD] = _Hold(connection)
            return
        hold: _Hold | None = connection.info.get(_HOLD)
        if hold is not None:
            many = getattr(context, "compiled_parameters", None) or (parameters if is_many else ())
            hold.end(_short(statement), len(many))
            hold.is_migration |= _MIGRATION in statement

    def over(connection: Connection) -> None:
        if connection.invalidated:
            return  # it was lost, and its transaction with it
        hold: _Hold | None = connection.info.pop(_HOLD, None)
        held = hold.close() if hold is not None else None
        if held is not None:
            found.append(held)

    gc.callbacks.append(_garbage.told)
    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "after_cursor_execute", after)
    event.listen(Engine, "commit", over)
    event.listen(Engine, "rollback", over)


def _short(statement: str) -> str:
    return f"`{' '.join(statement.split())[:_SHOWN]}`"
