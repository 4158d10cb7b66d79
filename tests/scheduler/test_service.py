"""The whole scheduler: woken by a commit, stopped without losing anything."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from control_plane.db.models.history import Heartbeat
from control_plane.domain.call_order import OrderStatus
from scheduler.service import World, run
from scheduler.settings import SchedulerSettings
from tests import factories
from tests.scheduler.conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.engines]


async def test_an_order_is_carried_out_and_the_scheduler_stops(desk: Desk, world: World) -> None:
    stopped = asyncio.Event()
    running = asyncio.create_task(run(world, SchedulerSettings(), stopped))
    now = await factories.order(desk.database, desk.vault, desk.owner)
    soon = await factories.order(
        desk.database,
        desk.vault,
        desk.owner,
        number="+12025550124",
        scheduled_at=factories.ago(seconds=-0.6),
    )
    for order in (now, soon):
        async with asyncio.timeout(10):
            while True:
                heard = desk.database.changes.count
                stored = await factories.reload_order(desk.database, order.id)
                if stored.calls_count == 1:
                    break
                await desk.database.changes.wait(since=heard, timeout_s=1)
        assert stored.status is OrderStatus.CALLING
    assert [request.to_number for request in desk.sip.dialled] == [
        factories.NUMBER,
        "+12025550124",
    ]
    async with desk.database.reading() as session:
        [beat] = (await session.scalars(select(Heartbeat))).all()
    assert beat.kind == "scheduler"
    stopped.set()
    await asyncio.wait_for(running, 10)
