"""What a scheduler asks of the database while a million orders are parked: probes, never a scan."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from control_plane.db.models.call_order import CallOrder
from control_plane.domain.gate import Rule
from control_plane.domain.order_request import ConcurrencyLimit
from control_plane.orders import slots
from scheduler.cancel import Canceller
from scheduler.expire import Expirer
from scheduler.heartbeat import beat
from scheduler.reconciler import Reconciler
from scheduler.recordings import RecordingMover
from scheduler.resume import Resumer
from scheduler.room_cleanup import RoomCleanup
from scheduler.service import World, run
from scheduler.settings import SchedulerSettings
from tests import factories
from tests.scheduler.conftest import Desk
from tests.statements import noted

pytestmark = pytest.mark.db
_GROWING = re.compile(
    r"SCAN (call_order|session|leg|attempt|call_event|recording|delivery|delivery_try|outbox|job|"
    r"campaign_row)\b(?:.* INDEX (\w+))?"
)
"""A step that goes through a table without end, and the index that it does so by."""
_PARTIAL = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
"""The indexes that have in them what is not over, and no more."""


async def park(desk: Desk, key: str | None) -> CallOrder:
    """Return an order that waits for a slot of `key`, or for three days."""
    limit: dict[str, Any] = {"concurrency": ConcurrencyLimit(key=key, max=1)} if key else {}
    order = await factories.order(desk.database, desk.vault, desk.owner, **limit)
    waits: dict[str, Any] = {"due_at": datetime.now(UTC) + timedelta(days=3)}
    if key:
        waits = {"due_at": None, "waiting_rule": Rule.CONCURRENCY}
    async with desk.database.transaction() as session:
        await session.execute(update(CallOrder).where(CallOrder.id == order.id).values(**waits))
    return order


async def test_one_order_of_each_key_is_looked_at_the_oldest(desk: Desk) -> None:
    keys = ("b", "a", None, "b", "c", "a")
    orders = [await park(desk, key) for key in keys]
    async with desk.database.reading() as session:
        found = await slots.first_of_each_key(session, limit=100)
        some = await slots.first_of_each_key(session, limit=2)
    assert [each.id for each in found] == [orders[1].id, orders[0].id, orders[4].id]
    assert [each.id for each in some] == [orders[1].id, orders[0].id]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_that_runs_while_idle_scans_or_sorts_orders(desk: Desk) -> None:
    for key in ("a", None):
        await park(desk, key)
    reconciler, expirer = Reconciler(desk.database, desk.rooms), Expirer(desk.database)
    room_cleanup = RoomCleanup(desk.database, desk.rooms)
    jobs: tuple[Callable[[], Awaitable[None]], ...] = (
        desk.dispatcher.dispatch_due,
        Canceller(desk.database, desk.rooms).end_cancelled,
        reconciler.reconcile,
        reconciler.reconcile_silent,
        expirer.expire,
        expirer.fill_slots,
        room_cleanup.delete_rooms,
        Resumer(desk.database).release,
        RecordingMover(desk.database, desk.recordings).put_away,
    )
    with noted(desk.database.engine) as asked:
        for job in jobs:
            await job()
        await beat(desk.database, "test", desk.dispatcher)
    plans = {}
    async with desk.database.engine.connect() as connection:
        for sql, values in dict(asked).items():
            if "call_order" in sql:
                rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                plans[sql] = [row[3] for row in rows]
    assert len(plans) >= 6
    bad = {
        sql: plan
        for sql, plan in plans.items()
        if any("SCAN call_order" in step or "TEMP B-TREE" in step for step in plan)
    }
    assert bad == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_that_the_scheduler_asks_reads_all_calls_that_there_ever_were(
    desk: Desk, world: World
) -> None:
    called, stopped = asyncio.Event(), asyncio.Event()
    with noted(
        desk.database.engine, lambda sql: sql.startswith("INSERT INTO attempt") and called.set()
    ) as asked:
        running = asyncio.create_task(run(world, SchedulerSettings(), stopped))
        await factories.order(desk.database, desk.vault, desk.owner)
        await asyncio.wait_for(called.wait(), 10)
        await Canceller(desk.database, desk.rooms).end_cancelled()
        stopped.set()
        await asyncio.wait_for(running, 10)
    async with desk.database.engine.connect() as connection:
        partial = set(await connection.scalars(text(_PARTIAL)))
        bad = {}
        for sql, values in dict(asked).items():
            if sql.startswith(("SELECT", "UPDATE", "DELETE")):
                rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                steps = [_GROWING.match(row[3]) for row in rows]
                if any(step is not None and step[2] not in partial for step in steps):
                    bad[sql] = [step and step.string for step in steps]
    assert len(dict(asked)) > 30
    assert bad == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_finds_the_next_of_a_key_by_its_index(desk: Desk) -> None:
    await park(desk, "a")
    with noted(desk.database.engine) as asked:
        await Expirer(desk.database).fill_slots()
        await desk.dispatcher.dispatch_due()
    plans = []
    async with desk.database.engine.connect() as connection:
        for setting in ("enable_seqscan", "enable_sort"):  # with few rows both are cheaper
            await connection.execute(text(f"SET {setting} = off"))
        for sql, values in dict(asked).items():
            if "call_order" not in sql:
                continue
            rows = await connection.exec_driver_sql(f"EXPLAIN {sql}", values)
            plans.append("\n".join(row[0] for row in rows))
    for name in ("call_order_slot", "call_order_lane"):
        assert any(name in plan for plan in plans), plans
