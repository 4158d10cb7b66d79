"""B10, B14 and what waiting costs: due → dispatch decision, pace, a million parked orders.

The scheduler runs as a process with rooms, agents and far ends in memory. Peers in the same run:
APScheduler with a SQLAlchemyJobStore on SQLite, and procrastinate on PostgreSQL, each with as
many jobs over the same time and without the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
from sqlalchemy import insert, select, update

from bench.rows import ROOT, percentile
from control_plane.assistants import specs, versions
from control_plane.db.base import Base
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database, wake
from control_plane.db.migrate import migrate
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Session
from control_plane.db.models.trunk import Trunk
from control_plane.domain.brief import Direction
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.ids import new_id
from tests import factories

DUE = 2_000
OVER_S = 60.0
BACKLOGS = (1_000, 1_000_000)
IDLE_S = 20.0
PACES = (1.0, 3.0, 30.0)
PACE_S = 20.0
_CHUNK = 20_000
_ORDERS = Base.metadata.tables[CallOrder.__tablename__]

Rows = list[dict[str, Any]]


async def run() -> Rows:
    """Return the rows; takes about seven minutes, half of it filling the book."""
    rows: Rows = []
    p99: dict[int, float] = {}
    for backlog in BACKLOGS:
        print(f"  {backlog:,} parked orders …", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            delays, idle, rss = await _measure(Path(folder), backlog)
        p99[backlog] = percentile(delays, 0.99)
        name = f"{backlog:,} parked"
        rows.append(
            _row("B10", f"due → dispatch decision, p99, {name}", p99[backlog], "ms", len(delays),
                 goal="≤ 250 ms", met=p99[backlog] <= 250)
        )  # fmt: skip
        rows.append(
            _row("B10", f"a core used while nothing is due, {name}", idle * 100, "%", 1,
                 goal="≤ 2 %", met=idle <= 0.02)
        )  # fmt: skip
        rows.append(_row("B10", f"the scheduler's memory, {name}", rss, "MB", 1))
    small, large = BACKLOGS
    rows.append(
        _row("B10", "due → dispatch decision, 1 M beside 1 k parked, p99", p99[large], "ms", DUE,
             peer="1,000 parked", peer_value=round(p99[small], 2), ratio=p99[large] / p99[small],
             goal="≤ 1.2×", met=p99[large] <= 1.2 * p99[small])
    )  # fmt: skip
    for name, script, goal in (
        ("APScheduler with SQLAlchemyJobStore", "bench.peers.apscheduler_jobs", 0.10),
        ("procrastinate", "bench.peers.procrastinate_jobs", None),
    ):
        other = await asyncio.to_thread(_peer, script)
        if other is None:
            continue
        theirs = percentile(other, 0.99)
        rows.append(
            _row("B10", f"due → dispatch decision, p99, beside {name}", p99[large], "ms", DUE,
                 peer=name, peer_value=round(theirs, 2), ratio=p99[large] / theirs,
                 goal=f"≤ {goal:.2f}×" if goal else None,
                 met=p99[large] <= goal * theirs if goal else None)
        )  # fmt: skip
    for pace in PACES:
        print(f"  a trunk at {pace:g} calls a second …", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            worst, used, count = await _paced(Path(folder), pace)
        rows.append(
            _row("B14", f"most INVITEs in any second, trunk at {pace:g}/s", worst, "", count,
                 goal=f"≤ {pace:g}", met=worst <= pace)
        )  # fmt: skip
        rows.append(
            _row("B14", f"of its pace used, trunk at {pace:g}/s", used * 100, "%", count,
                 goal="≥ 97 %", met=used >= 0.97)
        )  # fmt: skip
    return rows


def _row(key: str, measure: str, value: float, unit: str, n: int, **more: Any) -> dict[str, Any]:
    return {"id": key, "measure": measure, "value": round(value, 3), "unit": unit, "n": n, **more}


async def _measure(folder: Path, backlog: int) -> tuple[list[float], float, float]:
    """Return delays in ms, the share of a core used when idle, and the memory in MB."""
    async with _book(folder) as (database, columns):
        parked = datetime.now(UTC) + timedelta(days=3)
        await _fill(database, columns, [parked] * backlog)
        async with _scheduler(database, folder) as process:
            await asyncio.sleep(3.0)  # its first sweeps
            before = sum(process.cpu_times()[:2])
            await asyncio.sleep(IDLE_S)
            idle = (sum(process.cpu_times()[:2]) - before) / IDLE_S
            start = datetime.now(UTC) + timedelta(seconds=5)
            chance = random.Random(1)
            due = [start + timedelta(seconds=chance.uniform(0, OVER_S)) for _ in range(DUE)]
            await _fill(database, columns, sorted(due))
            delays = await _decided(database, DUE, OVER_S + 60)
            rss = process.memory_info().rss / 1e6
    return delays, idle, rss


async def _paced(folder: Path, pace: float) -> tuple[int, float, int]:
    """Return the most INVITEs in any second, the share of the pace used, and their number."""
    async with _book(folder) as (database, columns):
        async with database.transaction() as session:
            await session.execute(
                update(Trunk).values(calls_per_second=pace, max_concurrent_calls=100)
            )
        await _fill(database, columns, [factories.ago(minutes=1)] * int(pace * PACE_S * 2))
        async with _scheduler(database, folder):
            await asyncio.sleep(PACE_S + 2)
    lines = (folder / "dials.jsonl").read_text().splitlines()
    times = [json.loads(line)["at"] for line in lines]
    times = [at for at in times if at <= times[0] + PACE_S]
    window: deque[float] = deque()
    worst = 0
    for at in times:
        window.append(at)
        while window[0] <= at - 1.0:
            window.popleft()
        worst = max(worst, len(window))
    used = (len(times) - 1) / (times[-1] - times[0]) / pace
    return worst, used, len(times)


@contextlib.asynccontextmanager
async def _book(folder: Path) -> AsyncIterator[tuple[Database, dict[str, Any]]]:
    """Yield an empty order book, and the columns that every order of it has."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'offhook.db'}", wake_folder=folder / "wake")
    await migrate(database)
    owner = await factories.organization(database)
    now = datetime.now(UTC)
    async with database.transaction() as session:
        vault = Vault.open(folder / "secret.key")
        stored = await specs.store(session, vault, owner, factories.spec(), now=now)
        version = await versions.add(session, owner, None, 0, stored, now=now)
        trunk = (await session.scalars(select(Trunk))).one()
    always = msgspec.to_builtins(factories.always(max_retry_attempts=1))
    yield database, {
        "organization_id": owner, "direction": Direction.OUTBOUND,
        "status": OrderStatus.SCHEDULED, "assistant_version": 0, "assistant_version_id": version,
        "trunk_id": trunk.id, "retry_config": always, "zones": ["America/New_York"],
        "prompt_variables": {}, "call_metadata": {}, "force_now": False, "epoch": 0,
        "calls_count": 0, "uncounted_in_a_row": 0, "event_count": 0, "created_at": now,
        "updated_at": now, "deadline_at": now + timedelta(days=7),
    }  # fmt: skip
    await database.close()


async def _fill(database: Database, columns: dict[str, Any], due: list[datetime]) -> None:
    for at in range(0, len(due), _CHUNK):
        rows = [
            {
                **columns,
                "id": new_id(),
                "to_phone_number": f"+1202555{n % 10_000:04d}",
                "due_at": instant,
                "scheduled_at": instant,
            }
            for n, instant in enumerate(due[at : at + _CHUNK])
        ]
        async with database.transaction() as session:
            await (await session.connection()).execute(insert(_ORDERS), rows)
    async with database.transaction() as session:
        wake(session)


@contextlib.asynccontextmanager
async def _scheduler(database: Database, folder: Path) -> AsyncIterator[psutil.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.scheduler_arm",
        database.url,
        str(folder),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        await child.stdout.readline()
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), 20)


async def _decided(database: Database, count: int, limit_s: float) -> list[float]:
    """Return for each dispatched order the ms from its due instant to its attempt."""
    until = time.monotonic() + limit_s
    query = (
        select(Session.created_at, CallOrder.scheduled_at)
        .join(Attempt, Attempt.session_id == Session.id)
        .join(CallOrder, CallOrder.id == Attempt.order_id)
        .where(Attempt.ordinal == 1)
    )
    while True:
        async with database.reading() as session:
            rows = (await session.execute(query)).all()
        if len(rows) >= count or time.monotonic() > until:
            break
        await asyncio.sleep(2.0)
    if len(rows) < count:
        raise RuntimeError(f"only {len(rows)} of {count} orders were dispatched")
    return [(made - due) / timedelta(milliseconds=1) for made, due in rows if due is not None]


def _peer(module: str) -> list[float] | None:
    """Return the peer's delays in ms, None where it is not installed."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(DUE), str(OVER_S)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=OVER_S * 6,
        check=False,
    )
    if done.returncode:
        print(f"  {module} did not run: {done.stderr.strip().splitlines()[-1:]}")
        return None
    delays: list[float] = json.loads(done.stdout.splitlines()[-1])
    return delays
