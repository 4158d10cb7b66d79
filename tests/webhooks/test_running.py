"""The scheduler at work: an event reaches its receiver because of its commit, not of a sweep."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from control_plane.db.base import read_clock
from control_plane.db.engine import wake
from control_plane.db.models.webhook import Delivery
from control_plane.keys.tokens import TokenSigner
from control_plane.recordings.spool import RecordingFiles
from scheduler.service import World, run
from scheduler.settings import SchedulerSettings
from tests import factories
from tests.scheduler.fakes import FakeRooms, FakeSip
from tests.webhooks.conftest import Desk, Receiver

pytestmark = [pytest.mark.db, pytest.mark.engines]


async def test_a_commit_reaches_the_receiver_and_a_failed_try_is_repeated(
    desk: Desk, receiver: Receiver, signer: TokenSigner, tmp_path: Path
) -> None:
    journal: list[str] = []
    sip = FakeSip(journal)
    world = World(
        database=desk.database,
        vault=desk.vault,
        signer=signer,
        recordings=RecordingFiles(tmp_path),
        rooms=FakeRooms(journal),
        dialer=sip,
        trunks=sip,
        views=factories.views(),
        outbound=desk.outbound,
    )
    await desk.endpoint(receiver.url, "call.in_progress")
    order = await desk.order(scheduled_at=factories.ago(hours=-1))
    stopped = asyncio.Event()
    running = asyncio.create_task(run(world, SchedulerSettings(), stopped))
    receiver.then(503)
    await desk.announce(order, "call.in_progress")
    async with asyncio.timeout(10):
        while not await desk.tries():
            heard = desk.database.changes.count
            await desk.database.changes.wait(since=heard, timeout_s=0.1)
        async with desk.database.transaction() as session:
            soon = await read_clock(session) + timedelta(seconds=0.3)
            await session.execute(update(Delivery).values(next_at=soon))
            wake(session)
        while len(receiver.messages) < 2:
            receiver.arrived.clear()
            await receiver.arrived.wait()
    assert len(set(receiver.ids)) == 1
    stopped.set()
    await asyncio.wait_for(running, 10)
    assert [each.number for each in await desk.tries()] == [1, 2]
