"""One schedule from its seed to its verdict."""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from control_plane.assistants import versions
from control_plane.assistants.specs import store as store_spec
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.organization import ApiKey, Organization
from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.ids import Source
from process import crash_points
from process.gc_tuning import begin_gc
from tests import factories
from tests.simulator.clients import Api, Clients
from tests.simulator.clockwork import Stuck, VirtualLoop
from tests.simulator.judging import Judge
from tests.simulator.outside import Rooms, SipService
from tests.simulator.plan import Event, Plan, draw
from tests.simulator.schedulers import Scheduler
from tests.simulator.storage import URL, Store
from tests.simulator.world import CURRENT, LISTENER, Killed, World, listen

_FIXED = datetime(2026, 1, 1, tzinfo=UTC)
_QUIET_S = 150.0
_LATE_S = 90.0
_LONGEST_S = 25 * 86_400.0
CALL_LIMIT_S = 20


@dataclass
class Verdict:
    """What came of one schedule."""

    seed: int
    violations: list[str]
    trace: list[str]


class Simulator:
    """Runs schedules, one after the other, on one database."""

    def __init__(self) -> None:
        listen()
        self._store = Store()
        self._owners: list[tuple[str, str]] = []
        asyncio.run(self._prepare())
        self._store.watch()
        begin_gc()  # what is here stays; looking through it again and again costs a fifth
        gc.set_threshold(20_000, 20, 50)

    def run(self, seed: int) -> Verdict:
        """Return what came of the schedule of `seed`."""
        plan = draw(seed)
        loop = VirtualLoop()
        world = World(plan, self._store, loop)
        self._store.clear()
        self._set(plan)
        versions._seen.clear()
        original, Source.make = Source.make, world.new_id
        LISTENER.world = world
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(Schedule(world, self._owners).run())
        except Stuck:
            world.violate("E", "the schedule got stuck")
        finally:
            crash_points.arm(None)
            _stop(loop)
            LISTENER.world = None
            Source.make = original
        return Verdict(seed, world.violations, world.trace)

    def _set(self, plan: Plan) -> None:
        execute = self._store.connection.execute
        for index, trunk in enumerate(plan.trunks):
            execute(
                "UPDATE trunk SET calls_per_second = ?, max_concurrent_calls = ? "
                "WHERE sip_trunk_id = ?",
                (trunk["cps"], trunk["most"], f"ST_{index}"),
            )
        execute("UPDATE organization SET attempts_per_day = ?", (plan.attempts_per_day,))
        execute("UPDATE api_key SET calls_per_day = ?", (plan.calls_per_day,))

    async def _prepare(self) -> None:
        """Make the schema and what every schedule has: two owners with a trunk each."""
        database = Database(URL, wake_folder=Path("/nowhere"), engine=self._store.engine)
        await migrate(database)
        vault = Vault([b"A" * 43 + b"="])
        async with database.transaction() as session:
            for index in range(2):
                owner, key, assistant = f"owner-{index}", f"key-{index}", f"assistant-{index}"
                session.add(
                    Organization(
                        id=owner,
                        name=owner,
                        created_at=_FIXED,
                        consent_required=False,
                        allowed_countries=["US", "FR"],
                    )
                )
                await session.flush()
                session.add(
                    ApiKey(
                        id=key,
                        organization_id=owner,
                        name=key,
                        prefix=key,
                        sha256="",
                        scopes=[],
                        created_at=_FIXED,
                    )
                )
                session.add(
                    Trunk(
                        id=f"trunk-{index}",
                        organization_id=owner,
                        direction=Direction.OUTBOUND,
                        name="simulator",
                        purpose=Purpose.SIMULATOR,
                        address="127.0.0.1:5090",
                        numbers=[factories.OURS],
                        allowed_addresses=[],
                        is_default=True,
                        sip_trunk_id=f"ST_{index}",
                        created_at=_FIXED,
                        updated_at=_FIXED,
                    )
                )
                spec = factories.spec(max_call_duration_secs=CALL_LIMIT_S, recording_enabled=False)
                stored = await store_spec(session, vault, owner, spec, now=_FIXED)
                row = Assistant(
                    id=assistant,
                    organization_id=owner,
                    name="Ann",
                    version=1,
                    spec=stored,
                    is_default=True,
                    created_at=_FIXED,
                    updated_at=_FIXED,
                )
                session.add(row)
                await versions.add_current(session, row, now=_FIXED)
                self._owners.append((owner, key))


class Schedule:
    """A plan as it unfolds."""

    def __init__(self, world: World, owners: list[tuple[str, str]]):
        self._world = world
        self._chance = random.Random(world.plan.seed ^ 0xC4A5)
        self._api = Api(world, "api-1")
        self._rooms = Rooms(world, self._api)
        self._sip = SipService(world, self._rooms)
        self._clients = Clients(world, owners)
        self._clients.api = self._api
        self._schedulers: list[Scheduler] = []
        self._born = 1
        self._passed: dict[str, int] = {}
        self._ended = False

    async def run(self) -> None:
        """Let everything happen, and judge it."""
        loop = self._world.loop
        crash_points.arm(self._pass)
        self._api.create_task(self._api.run(), name="api")
        for _ in range(2):
            self._start_scheduler()
        beats = loop.create_task(self._beat())
        acts = [loop.create_task(self._act(event)) for event in self._world.plan.events]
        over = loop.create_task(self._world.over.wait())
        story = loop.create_task(self._unfold(acts))
        await asyncio.wait({over, story}, return_when=asyncio.FIRST_COMPLETED)
        beats.cancel()
        Judge(self._world, self._sip, self._rooms, self._clients).judge()

    async def _unfold(self, acts: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*acts)
        await self._finish()
        await asyncio.sleep(_QUIET_S)

    def _start_scheduler(self) -> None:
        name = f"scheduler-{self._born}"
        self._born += 1
        scheduler = Scheduler(self._world, name, self._rooms, self._sip)
        self._schedulers.append(scheduler)
        scheduler.create_task(scheduler.run(), name=name)

    async def _act(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        match event.kind:
            case "crash":
                self._crash(self._schedulers[event.facts["which"]])
            case "freeze":
                self._schedulers[event.facts["which"]].freeze()
            case "api_crash" if self._api.alive:
                self._api.kill()
                self._world.loop.call_later(self._chance.uniform(0.1, 8), self._start_api)
            case "api_crash":
                pass  # it is down already
            case _:
                await self._clients.do(event)

    def _start_api(self) -> None:
        self._born += 1
        self._api = self._clients.api = Api(self._world, f"api-{self._born}")
        self._rooms.use_api(self._api)
        self._api.create_task(self._api.run(), name="api")

    def _crash(self, scheduler: Scheduler) -> None:
        if scheduler in self._schedulers and scheduler.alive:
            scheduler.kill()
            self._world.loop.call_later(self._chance.uniform(0.1, 20), self._replace, scheduler)

    def _replace(self, dead: Scheduler) -> None:
        self._schedulers.remove(dead)
        self._start_scheduler()

    def _pass(self, point: str) -> None:
        """Let the faults of the plan happen at a crash point."""
        process = CURRENT.get()
        if not isinstance(process, Scheduler):
            return
        nth = self._passed[point] = self._passed.get(point, 0) + 1
        for fault in self._world.plan.faults:
            if (fault.point, fault.nth) != (point, nth):
                continue
            self._world.note(process.name, f"{fault.kind} at {point}")
            if fault.kind == "freeze":
                process.freeze()
            else:
                self._crash(process)
                raise Killed

    async def _beat(self) -> None:
        """Keep the API's sign of life fresh while anybody looks at it."""
        while True:
            if self._api.alive:
                self._api.beat()
            live = self._world.store.row("SELECT 1 FROM session WHERE closed_at IS NULL")
            if live is None:
                changes = self._api.database.changes
                await changes.wait(since=changes.count, timeout_s=_LONGEST_S)
            await asyncio.sleep(3.0 if live is not None else 0.0)

    async def _finish(self) -> None:
        """Wait until every order is final, or the last one's time has run out."""
        store, changes = self._world.store, self._api.database.changes
        limit = _LONGEST_S
        while self._world.loop.time() < limit:
            changes = self._api.database.changes
            heard = changes.count
            latest = store.row("SELECT max(deadline_at) FROM call_order")[0]
            if latest is None:
                return
            now = self._world.now().timestamp()
            left = latest / 1e6 - now + _LATE_S
            calling = store.row("SELECT 1 FROM call_order WHERE status = 'calling'")
            if left <= 0 and (calling is None or left < -300):
                return
            await changes.wait(since=heard, timeout_s=max(left, 5.0))


def _stop(loop: VirtualLoop) -> None:
    """End what still runs, without a word."""
    for _ in range(3):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()
