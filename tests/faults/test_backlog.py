"""A backlog of overdue orders at a restart: caught up at the trunk's pace, oldest first (I9)."""

from __future__ import annotations

import asyncio
import bisect
import logging
import os
import time
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import update

from control_plane.db.engine import Database
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.call_order import WAITING, OrderStatus
from tests.faults.asking import BUSY, body, place
from tests.faults.judging import invites
from tests.faults.stage import MOST_AT_ONCE, Stage
from tests.system.platform import wait_for

log = logging.getLogger(__name__)

BATCHES = int(os.environ.get("OFFHOOK_TEST_BACKLOG", "1"))
BATCH = 10_000
CALLS_PER_SECOND = 3.0
MEASURED = 24
GROWTH = 8 * 1024 * 1024
"""Bytes that a scheduler may grow by while it works on the backlog: allocators round up."""
WAY_S = 2.0
LIMIT_S = 120.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
def caller(started: Stage) -> Iterator[str]:
    """Return a number on a slow trunk; its backlog is dropped afterwards, its calls ended."""
    [number] = started.callers(1)
    started.patch(f"/trunk/{started.trunk_id}", {"calls_per_second": CALLS_PER_SECOND})
    yield number
    started.patch(f"/trunk/{started.trunk_id}", {"calls_per_second": 30.0})
    asyncio.run(_drop(started, number))
    with started.crew(1):
        started.quiet(LIMIT_S)


async def _drop(stage: Stage, caller: str) -> None:
    """Let the rest of the backlog ring nobody for the hours that it would take."""
    database = Database(stage.books.url, wake_folder=stage.home.run / "wake")
    async with database.transaction() as session:
        await session.execute(
            update(CallOrder)
            .where(CallOrder.from_phone_number == caller, CallOrder.status.in_(WAITING))
            .values(due_at=None, deadline_at=None, status=OrderStatus.CANCELLED)
        )
    await database.close()


def test_a_backlog_is_caught_up_at_the_trunks_pace(started: Stage, caller: str) -> None:
    row = body(BUSY, caller)
    ids = [key for _ in range(BATCHES) for key in place(started, [row] * BATCH)]
    with started.crew(1) as crew:
        [scheduler] = crew.members
        wait_for(lambda: len(rang(started, caller)), lambda n: n >= MOST_AT_ONCE, LIMIT_S)
        early = psutil.Process(scheduler.pid).memory_info().rss
        began = time.monotonic()
        seen = wait_for(lambda: rang(started, caller), lambda s: len(s) >= MEASURED, LIMIT_S)
        log.info("%d INVITEs in %.0f s", len(seen), time.monotonic() - began)
        grown = psutil.Process(scheduler.pid).memory_info().rss - early
    marked = started.books.dialled_from(caller)
    assert busiest_second(sorted(at.timestamp() for at in marked.values())) <= CALLS_PER_SECOND
    # Between the mark and the INVITE the gateway joins the room, which takes a while or a moment.
    assert len(seen) <= CALLS_PER_SECOND * (seen[-1] - seen[0] + WAY_S)
    assert marked.keys() <= set(ids[: len(seen) + 2 * MOST_AT_ONCE])
    assert grown < GROWTH, f"{grown / 1e6:.1f} MB more"


def rang(stage: Stage, caller: str) -> list[float]:
    """Return when the far end's phone rang, oldest first."""
    return sorted(row["t"] for row in invites(stage).get((caller, BUSY), []))


def busiest_second(instants: list[float]) -> int:
    """Return the most instants within any second."""
    return max(
        bisect.bisect_left(instants, first + 1.0) - index for index, first in enumerate(instants)
    )
