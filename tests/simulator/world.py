"""What a schedule happens in: time, chance, processes that die and freeze, and who saw what."""

from __future__ import annotations

import asyncio
import contextvars
import random
import sys
from collections.abc import Coroutine, MutableMapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from control_plane.domain.errors import IllegalTransition, Refused
from scheduler.service import SWEEP_S
from tests.simulator.clockwork import VirtualLoop
from tests.simulator.plan import Plan
from tests.simulator.storage import OWNER, Injected, SharedDatabase, Store, error

CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("current", default=None)
THAW_S = 60.0
MOST_PULSES = 8_000


class Killed(asyncio.CancelledError):
    """The process died here; nothing of it runs any more."""


class Process:
    """One operating-system process: it dies at once and without a word, or freezes."""

    def __init__(self, world: World, name: str):
        self.world = world
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.database = SharedDatabase(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        world.processes.append(self)

    def create_task(
        self, work: Coroutine[Any, Any, Any], *, name: str | None = None
    ) -> asyncio.Task[Any]:
        """Run `work` in this process."""
        task = asyncio.get_running_loop().create_task(self._run(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        task.add_done_callback(lambda _task: work.close())  # it may never have begun
        return task

    async def _run(self, work: Coroutine[Any, Any, Any], name: str | None) -> Any:
        CURRENT.set(self)
        OWNER.set(self.world.owner_of(name))
        return await work

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self.world.unexpected(exc, f"a task of {self.name} failed")

    def kill(self) -> None:
        """Die: kill -9."""
        self.alive = False
        self.world.note(self.name, "killed")
        self.world.processes.remove(self)
        for task in sorted(self._tasks, key=lambda each: each.get_name()):
            task.cancel()

    def freeze(self) -> None:
        """Stop for a minute, as a machine does that swaps or is migrated."""
        self.world.note(self.name, "frozen")
        self.frozen_until = self.world.loop.time() + THAW_S

    async def passes(self, *, slow: bool = False) -> None:
        """Go on if the process lives, once it is not frozen."""
        if slow and self.world.plan.slow:
            await asyncio.sleep(self.world.chance.uniform(0, self.world.plan.slow))
        while (left := self.frozen_until - self.world.loop.time()) > 0:
            await asyncio.sleep(left)
        if not self.alive:
            raise Killed

    def draw_error(self) -> bool:
        """Return whether this transaction is to fail at its end; raises if at its beginning."""
        plan, chance = self.world.plan, self.world.chance
        if not plan.error_chance or self.world.loop.time() > plan.horizon:
            return False
        if chance.random() >= plan.error_chance:
            return False
        self.world.note(self.name, "locked")
        if chance.random() < 0.5:
            raise error()
        return True


class World:
    """The one place that all parts of a schedule share."""

    def __init__(self, plan: Plan, store: Store, loop: VirtualLoop):
        self.plan = plan
        self.store = store
        self.loop = loop
        self.chance = random.Random(plan.seed ^ 0x5EED)
        self.processes: list[Process] = []
        self.trace: list[str] = []
        self.violations: list[str] = []
        self.over = asyncio.Event()
        self._ids = 0
        self._pulses = 0
        self._ringing = self._sweeping = False

    def now(self) -> datetime:
        """Return the database's time."""
        return self.at(self.loop.time())

    def clock(self) -> float:
        """Return the machine's time, in seconds since the epoch."""
        return self.now().timestamp()

    def at(self, seconds: float) -> datetime:
        """Return the instant that many seconds after the start."""
        return self.plan.begins + timedelta(microseconds=round(seconds * 1e6))

    def new_id(self) -> str:
        """Return an identifier like a UUIDv7: by time, then by number."""
        self._ids += 1
        text = f"{round(self.now().timestamp() * 1000):012x}7{self._ids & 0xFFF:03x}8"
        text += f"{self._ids:03x}{self.plan.seed & 0xFFFFFFFFFFFF:012x}"[:15]
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"

    def note(self, who: str, what: str) -> None:
        """Add to the trace."""
        self.trace.append(f"{self.loop.time():14.6f} {who}: {what}")

    def violate(self, invariant: str, what: str) -> None:
        """Note that a promise was broken."""
        self.note("VIOLATION", f"{invariant} {what}")
        self.violations.append(f"{invariant} {what}")

    def pulse(self) -> None:
        """Note that a scheduler looked at the rows; a schedule whose end never comes is over."""
        self._pulses += 1
        if self._pulses == MOST_PULSES:
            self.violate("I4", "no rest: something is open that nobody ever closes")
            self.over.set()

    def unexpected(self, exc: BaseException, where: str) -> None:
        """Note an exception that nobody asked for."""
        refused = isinstance(exc, Refused) and not isinstance(exc, IllegalTransition)
        if not refused and not isinstance(exc, Injected | asyncio.CancelledError):
            self.violate("E", f"{where}: {type(exc).__name__}: {exc}"[:400])

    def owner_of(self, name: str | None) -> tuple[str, int] | None:
        """Return the attempt and epoch that a task acts for, from its name."""
        if name is None or not name.startswith("call-"):
            return None
        row = self.store.row("SELECT id, epoch FROM session WHERE room_name = ?", name)
        return (row[0], row[1]) if row is not None else None

    def wake(self, *, is_work: bool = True) -> None:
        """Ring every process's changes, a moment later; a lost wake-up is made good by a sweep."""
        if not is_work:
            return  # nobody follows a call here
        lost = bool(self.plan.lost_wakes) and self.chance.random() < self.plan.lost_wakes
        if not lost and not self._ringing:
            self._ringing = True
            self.loop.call_later(0.001, self._ring)
        elif lost and not self._sweeping:
            self._sweeping = True
            self.loop.call_later(SWEEP_S, self._sweep)

    def close(self) -> None:
        """Nothing is held."""

    def _sweep(self) -> None:
        self._sweeping = False
        self._ring()

    def _ring(self) -> None:
        self._ringing = False
        first = self.chance.randrange(2)
        apart = self.chance.choice((0.0, 0.003, 0.003, 0.003))  # mostly one is the faster
        for index, process in enumerate(self.processes):
            late = apart * ((index + first) % 2)
            self.loop.call_later(late, process.database.changes.notify)


class Listener:
    """Hears what the code logs as an exception it did not expect."""

    world: World | None = None

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        exc = sys.exc_info()[1]
        if self.world is not None and event.get("exc_info") and exc is not None:
            self.world.unexpected(exc, str(event.get("event")))
        raise structlog.DropEvent


LISTENER = Listener()


def listen() -> None:
    """Hear errors of the code; everything below is not even made."""
    structlog.configure(
        processors=[LISTENER],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
