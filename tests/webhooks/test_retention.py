"""Sent messages are kept for a while; what is still to be sent stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from control_plane.db.models.history import CallEventRow, OutboxRow
from control_plane.db.models.webhook import Delivery, DeliveryTry
from control_plane.domain.ids import first_id_at, new_id
from control_plane.webhooks import retention
from scheduler.retention import Retention
from tests.webhooks.conftest import Desk, Receiver

pytestmark = pytest.mark.db

TABLES = (OutboxRow, Delivery, DeliveryTry)


async def counts(desk: Desk) -> list[int]:
    async with desk.database.reading() as session:
        return [
            await session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES
        ]


async def test_old_messages_go_with_their_tries_and_events(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    order = await desk.order()
    await desk.announce(order, "call.ringing", "call.completed")
    before = await histories(desk)
    receiver.then(500)
    assert await desk.go() == 2
    assert await desk.pass_time(seconds=6) == 1
    assert await counts(desk) == [2, 2, 3]
    await Retention(desk.database, messages_kept=timedelta(minutes=1)).delete_expired()
    assert await counts(desk) == [2, 2, 3], "they are not old"
    await Retention(desk.database, messages_kept=timedelta(seconds=-1)).delete_expired()
    assert await counts(desk) == [0, 0, 0]
    assert await histories(desk) == before


async def test_what_is_still_to_be_sent_stays(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    await desk.announce(await desk.order(), "call.ringing")
    receiver.then(500)
    await desk.go()
    await desk.announce(await desk.order(), "call.ringing")  # not relayed yet
    later = datetime.now(UTC) + timedelta(days=365)
    async with desk.database.transaction() as session:
        assert await retention.delete_before(session, later, limit=100) == 1
    assert await counts(desk) == [1, 1, 1]
    assert await desk.pass_time(seconds=6) == 2
    assert len(receiver.messages) == 3


async def test_no_more_at_once_than_asked(desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    for _ in range(3):
        await desk.announce(await desk.order(), "call.ringing")
    await desk.go()
    later = datetime.now(UTC) + timedelta(seconds=1)
    async with desk.database.transaction() as session:
        assert await retention.delete_before(session, later, limit=2) == 4
    assert await counts(desk) == [1, 1, 1]


def test_ids_rise_with_time() -> None:
    before = datetime.now(UTC)
    made = new_id()
    after = datetime.now(UTC)
    assert first_id_at(before) <= made < first_id_at(after + timedelta(milliseconds=1))


async def histories(desk: Desk) -> int:
    async with desk.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(CallEventRow)) or 0
