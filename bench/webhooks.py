"""B22: webhooks per second, commit → first POST, and what one hanging receiver in a hundred costs.

A scheduler's relay and deliverer on SQLite (FULL), as the scheduler runs them. Receivers and the
writer of events are processes of their own, so that their CPU is not the scheduler's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import random
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from cryptography.fernet import Fernet
from sqlalchemy import func, insert, select

from bench.rows import percentile
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database, wake
from control_plane.db.migrate import migrate
from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery, WebhookEndpoint
from control_plane.db.sealed import seal
from control_plane.domain.delivery import DeliveryState
from control_plane.domain.ids import new_id
from control_plane.orders.views import CallViews
from control_plane.recordings.links import RecordingLinks
from control_plane.webhooks.post import LIMITS
from control_plane.webhooks.signing import new_secret
from process.addresses import Allowed
from process.safe_http import Outbound
from scheduler.deliver import Deliverer
from scheduler.service import notify_receivers
from scheduler.timetable import Timetable
from tests import factories

RECEIVERS = 100
ORDERS = 5  # of each receiver's organization
BACKLOG = 6_000
RATE = 150.0
STEADY_S = 15.0
HANGING = 7

Rows = list[dict[str, Any]]
Pipe = multiprocessing.connection.Connection


async def run() -> Rows:
    """Return the rows; takes about two minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Measure without and with a hanging receiver, in turns."""
    backlog: list[float] = []
    calm: list[float] = []
    stuck: list[float] = []
    for _ in range(2):
        backlog.append(uvloop.run(_drain()))
        calm += uvloop.run(_steady(hanging=False))
        stuck += uvloop.run(_steady(hanging=True))
    rate = min(backlog)
    p99 = percentile(calm, 0.99)
    rows = [
        _row("webhooks delivered", rate, "1/s", BACKLOG * 2, goal="≥ 500/s") | {"met": rate >= 500},
        _row("commit → first POST p50", percentile(calm, 0.5), "ms", len(calm)),
        _row("commit → first POST p99", p99, "ms", len(calm), goal="≤ 150 ms")
        | {"met": p99 <= 150},
    ]
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        value, peer = percentile(stuck, share), percentile(calm, share)
        rows.append(
            _row(f"commit → first POST {name}, one receiver in 100 hangs", value, "ms", len(stuck),
                 goal="≤ 1.1×")
            | {"peer": "none hangs", "peer_value": round(peer, 1), "ratio": round(value / peer, 3),
               "met": value / peer <= 1.1}
        )  # fmt: skip
    return rows


async def _drain() -> float:
    """Return how many messages a second leave a backlog that was committed before."""
    async with _scheduler(hanging=False) as stage:
        await stage.write_backlog(BACKLOG)
        began = time.perf_counter()
        stage.begin()
        while await stage.delivered() < BACKLOG:  # noqa: ASYNC110 - looked up, not told
            await asyncio.sleep(0.1)
        return BACKLOG / (time.perf_counter() - began)


async def _steady(*, hanging: bool) -> list[float]:
    """Return the ms from commit to first POST of events that come one by one."""
    async with _scheduler(hanging=hanging) as stage:
        stage.begin()
        committed = await stage.write_steadily()
        await asyncio.sleep(1.0)
        arrived = await stage.arrivals()
        lost = [key for key in committed if key not in arrived]
        if lost:
            raise RuntimeError(f"{len(lost)} of {len(committed)} messages did not arrive")
        return [(arrived[key] - at) * 1000 for key, at in committed.items()]


class _Stage:
    """A database with a hundred receivers and their events, and a scheduler's part over it."""

    def __init__(self, database: Database, vault: Vault, tasks: asyncio.TaskGroup, pipe: Pipe):
        self.database = database
        self.orders: list[tuple[str, str]] = []
        self.watched: list[tuple[str, str]] = []
        self._pipe = pipe
        self._outbound = Outbound(Allowed.parse("127.0.0.0/8"), LIMITS)
        self._timetable = Timetable(database.changes, tasks)
        self._deliverer = Deliverer(
            database,
            vault,
            CallViews(RecordingLinks(b"k" * 32, "http://api")),
            self._outbound,
            on_room=database.changes.notify,
        )

    def begin(self) -> None:
        """Let the scheduler's part run."""
        notify_receivers(self.database, self._timetable, self._deliverer)
        self._timetable.start()

    async def end(self) -> None:
        """Stop it."""
        self._timetable.stop()
        await self._deliverer.finish(0.0)
        await self._outbound.aclose()

    async def write_backlog(self, count: int) -> None:
        """Commit that many events at once."""
        rows = [_event(*self.orders[n % len(self.orders)], n) for n in range(count)]
        async with self.database.transaction() as session:
            await session.execute(insert(OutboxRow), rows)

    async def write_steadily(self) -> dict[str, float]:
        """Have another process commit events one by one; return when each was, by id."""
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        folder = Path(self.database.url.removeprefix("sqlite+aiosqlite:///")).parent
        orders = random.sample(self.orders, len(self.orders))
        process = multiprocessing.get_context("spawn").Process(
            target=_write, args=(self.database.url, str(folder), orders, theirs), daemon=True
        )
        process.start()
        committed: dict[str, float] = await asyncio.to_thread(ours.recv)
        await asyncio.to_thread(process.join)
        hanging = {order for _, order in set(self.orders) - set(self.watched)}
        return {key: at for key, (order, at) in committed.items() if order not in hanging}  # type: ignore[misc]

    async def delivered(self) -> int:
        """Return how many deliveries are done."""
        async with self.database.reading() as session:
            done = Delivery.state == DeliveryState.DELIVERED
            query = select(func.count()).select_from(Delivery).where(done)
            return (await session.execute(query)).scalar_one()

    async def arrivals(self) -> dict[str, float]:
        """Return when each message first arrived, by its id."""
        self._pipe.send("arrivals")
        arrived: dict[str, float] = await asyncio.to_thread(self._pipe.recv)
        return arrived


@contextlib.asynccontextmanager
async def _scheduler(*, hanging: bool) -> AsyncIterator[_Stage]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    receivers = context.Process(target=_receive, args=(theirs, hanging), daemon=True)
    receivers.start()
    port = await asyncio.to_thread(ours.recv)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(
            f"sqlite+aiosqlite:///{folder}/offhook.db", wake_folder=Path(folder) / "wake"
        )
        vault = Vault([Fernet.generate_key()])
        await migrate(database)
        async with database.listening(), asyncio.TaskGroup() as tasks:
            stage = _Stage(database, vault, tasks, ours)
            for number in range(RECEIVERS):
                url = f"http://127.0.1.{number + 1}:{port}/{number}"
                pairs = await _receiver(database, vault, url)
                stage.orders += pairs
                if number != HANGING:
                    stage.watched += pairs
            yield stage
            await stage.end()
        await database.close()
    receivers.terminate()
    receivers.join()


async def _receiver(database: Database, vault: Vault, url: str) -> list[tuple[str, str]]:
    """Return a new organization's orders, which one endpoint is told of."""
    owner, now = await factories.organization(database), datetime.now(UTC)
    async with database.transaction() as session:
        secret = await seal(session, vault, owner, new_secret(), now=now)
        session.add(
            WebhookEndpoint(
                id=new_id(), organization_id=owner, url=vault.seal_url(url), event_types=[],
                secret_id=secret.id, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    made = [await factories.order(database, vault, owner) for _ in range(ORDERS)]
    return [(owner, order.id) for order in made]


def _event(owner: str, order: str, number: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": owner,
        "call_id": order,
        "sequence": number,
        "type": "call.ringing",
        "data": {"status": "calling", "attempt_id": None},
        "created_at": datetime.now(UTC),
    }


def _write(url: str, folder: str, orders: list[tuple[str, str]], pipe: Pipe) -> None:
    """Another process: commit an event at a time, at a steady rate."""
    uvloop.run(_keep_writing(url, folder, orders, pipe))


async def _keep_writing(url: str, folder: str, orders: list[tuple[str, str]], pipe: Pipe) -> None:
    database = Database(url, wake_folder=Path(folder) / "wake")
    committed: dict[str, tuple[str, float]] = {}

    async def commit(number: int) -> None:
        owner, order = orders[number % len(orders)]
        row = _event(owner, order, number)
        async with database.transaction() as session:
            await session.execute(insert(OutboxRow), [row])
            wake(session)
        committed[row["id"]] = (order, time.time())

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(RATE * STEADY_S)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            tasks.create_task(commit(number))
    await database.close()
    pipe.send(committed)


def _receive(pipe: Pipe, hanging: bool) -> None:
    """Another process: a hundred receivers at one port, by path."""
    uvloop.run(_keep_receiving(pipe, hanging))


async def _keep_receiving(pipe: Pipe, hanging: bool) -> None:
    arrived: dict[str, float] = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: _Receiver(arrived, hanging), "0.0.0.0", 0
    )
    pipe.send(server.sockets[0].getsockname()[1])
    while await asyncio.to_thread(pipe.recv) == "arrivals":
        pipe.send(arrived)


class _Receiver(asyncio.Protocol):
    """Answers each POST with 204; one path is never answered."""

    def __init__(self, arrived: dict[str, float], hanging: bool):
        self._arrived = arrived
        self._hanging = hanging
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, rest = self._held.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            length = int(headers["content-length"])
            if len(rest) < length:
                return
            json.loads(rest[:length])
            self._held = rest[length:]
            self._arrived.setdefault(headers["webhook-id"], now)
            if not (self._hanging and first.split()[1] == f"/{HANGING}"):
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def _row(measure_: str, value: float, unit: str, n: int, *, goal: str | None = None) -> Any:
    return {
        "id": "B22", "measure": measure_, "value": round(value, 1), "unit": unit, "n": n,
        "peer": None, "peer_value": None, "ratio": None, "goal": goal, "met": None,
    }  # fmt: skip
