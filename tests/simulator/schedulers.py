"""Scheduler processes: the real parts, woken by virtual time and by the changes.

Jobs run as `scheduler.service.run` has them. One that could find nothing is left out: what each
needs is asked in plain SQL, more widely than the job itself asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from control_plane.domain.gate import Rule
from scheduler import service
from scheduler.cancel import Canceller
from scheduler.clock import WallClock
from scheduler.dispatch import Dispatcher
from scheduler.expire import Expirer
from scheduler.heartbeat import beat
from scheduler.prepare import Preparer
from scheduler.reconciler import Reconciler
from scheduler.recordings import RecordingMover
from scheduler.room_cleanup import RoomCleanup
from tests.simulator.outside import Rooms, SipService, TrunkKeeper
from tests.simulator.storage import OWNER, Injected
from tests.simulator.world import Process, World

RINGING_S = 8
READY_S = 12.0
_FILL_S = 3_600.0
_NET_S = 5.0
"""A sweep of what the changes starts; a lost wake-up comes late instead (`World.wake`)."""

_LONGEST_S = 30 * 86_400.0
_CLOSED = """EXISTS (SELECT 1 FROM trunk_pace p WHERE p.trunk_id = o.trunk_id
  AND (p.stopped_at IS NOT NULL OR p.blocked_until > :now))"""
_FACTS = f"""SELECT
  EXISTS (SELECT 1 FROM call_order o WHERE o.due_at <= :now AND NOT {_CLOSED}) AS due,
  EXISTS (SELECT 1 FROM session WHERE closed_at IS NULL) AS live,
  EXISTS (SELECT 1 FROM session WHERE closed_at IS NULL AND call_lease_until <= :now) AS silent,
  EXISTS (SELECT 1 FROM attempt a JOIN call_order o ON o.id = a.order_id
          JOIN session s ON s.id = a.session_id
          WHERE s.closed_at IS NULL AND o.cancel_requested_at IS NOT NULL) AS cancelled,
  EXISTS (SELECT 1 FROM session WHERE closed_at IS NOT NULL AND room_deleted_at IS NULL) AS rooms,
  EXISTS (SELECT 1 FROM session a JOIN recording r ON r.session_id = a.id
          WHERE a.ended_at IS NOT NULL AND r.state = 'spooling') AS spooled,
  EXISTS (SELECT 1 FROM call_order WHERE deadline_at < :now AND status <> 'calling') AS overdue,
  EXISTS (SELECT 1 FROM call_order
          WHERE due_at IS NULL AND waiting_rule = '{Rule.CONCURRENCY}') AS parked,
  (SELECT min(due_at) FROM call_order WHERE due_at > :now) AS next_due,
  (SELECT min(blocked_until) FROM trunk_pace WHERE blocked_until > :now) AS next_open,
  (SELECT min(deadline_at) FROM call_order
   WHERE deadline_at >= :now AND status <> 'calling') AS next_end"""
NAMES = (
    "due",
    "live",
    "silent",
    "cancelled",
    "rooms",
    "spooled",
    "overdue",
    "parked",
    "next_due",
    "next_open",
    "next_end",
)


class Signer:
    """Tokens are not what is tested here."""

    def issue(self, *_facts: Any, **_more: Any) -> str:
        """Return a token."""
        return "token"


class Recordings:
    """No recording ever arrives."""

    def spooled(self) -> set[str]:
        """Return the attempts of which something is spooled: none."""
        return set()


@dataclass
class Job:
    """Something a scheduler does; `wants` names the fact without which it finds nothing."""

    name: str
    every: float
    on_bell: bool
    wants: str
    work: Callable[[], Awaitable[None]]
    next_at: float = 0.0
    task: asyncio.Task[Any] | None = None


class MachineClock(WallClock):
    """The time of the schedule."""

    def __init__(self, world: World):
        self.now = world.clock  # type: ignore[method-assign]


class Scheduler(Process):
    """One process of `python -m scheduler`."""

    def __init__(self, world: World, name: str, rooms: Rooms, sip: SipService):
        super().__init__(world, name)
        database = self.database
        self.dispatcher = Dispatcher(
            database,
            rooms=rooms,
            dialer=sip,
            preparer=Preparer(database, rooms, Signer(), ready_timeout_s=READY_S),  # type: ignore[arg-type]
            trunks=TrunkKeeper(),  # type: ignore[arg-type]
            tasks=self,  # type: ignore[arg-type]
            ringing_timeout_s=RINGING_S,
            max_dispatching=10,
            clock=MachineClock(world),
        )
        reconciler = Reconciler(database, rooms)
        room_cleanup = RoomCleanup(database, rooms)
        mover = RecordingMover(database, Recordings())  # type: ignore[arg-type]
        expirer = Expirer(database)
        sweep = service.SWEEP_S
        net = _NET_S
        self._jobs = [
            Job("heartbeat", service.HEARTBEAT_S, False, "live", self._beat),
            Job("reconcile", service.RECONCILE_S, False, "live", reconciler.reconcile),
            Job("silent", sweep, False, "silent", reconciler.reconcile_silent),
            Job("expire", service.EXPIRE_S, False, "overdue", expirer.expire),
            Job("fill", _FILL_S, False, "parked", expirer.fill_slots),
            Job("dispatch", net, True, "due", self.dispatcher.dispatch_due),
            Job("cancel", net, True, "cancelled", Canceller(database, rooms).end_cancelled),
            Job("rooms", net, True, "rooms", room_cleanup.delete_rooms),
            Job("recordings", net, True, "spooled", mover.put_away),
        ]

    async def run(self) -> None:
        """Work until killed."""
        changes = self.database.changes
        while True:
            await self.passes()
            heard = changes.count
            self.world.pulse()
            facts = self._facts()
            await changes.wait(since=heard, timeout_s=self._start_jobs(facts))

    async def _beat(self) -> None:
        if self.dispatcher.held:
            await beat(self.database, self.name, self.dispatcher)

    def _facts(self) -> dict[str, int | None]:
        now = self.world.now().timestamp()
        row = self.world.store.connection.execute(_FACTS, {"now": round(now * 1e6)}).fetchone()
        return dict(zip(NAMES, row, strict=True))

    def _start_jobs(self, facts: dict[str, int | None]) -> float:
        """Start what may find something and return for how long nothing else can."""
        at = self.world.loop.time()
        wait = self._idle(facts)
        for job in self._jobs:
            if not facts[job.wants]:
                continue
            if job.task is None and (at >= job.next_at - 1e-6 or job.on_bell):
                job.next_at = at + job.every
                job.task = self.create_task(self._do(job), name=job.name)
            wait = min(wait, max(0.05, job.next_at - at))
        return wait

    def _idle(self, facts: dict[str, int | None]) -> float:
        """Return the seconds until time alone changes something."""
        instants = [facts[name] for name in ("next_due", "next_open", "next_end")]
        known = [each for each in instants if each is not None]
        if facts["live"]:
            return 1.0
        if not known:
            return _LONGEST_S
        return max(0.001, min(known) / 1e6 - self.world.now().timestamp() + 0.002)

    async def _do(self, job: Job) -> None:
        OWNER.set(None)
        heard = self.database.changes.count
        try:
            await self.passes()
            await job.work()
        except Injected:
            pass
        except Exception as exc:  # noqa: BLE001 - what the schedule asked for is not news
            self.world.unexpected(exc, f"the job {job.name}")
        finally:
            job.task = None
        if self.database.changes.count != heard:
            self.database.changes.notify()
