"""Whoever calls while no worker has room is sent an agent all the same."""

from __future__ import annotations

import pytest

from control_plane.domain.brief import DispatchMetadata
from scheduler.rooms import Present
from scheduler.unanswered import UnansweredCallers
from tests import call_rows, factories
from tests.scheduler.conftest import Desk

pytestmark = [pytest.mark.db, pytest.mark.engines]

ROOM = "inbound_+12025550111_a"
CALLER = Present(identity="sip_+12025550111", is_agent=False, is_phone=True)
AGENT = Present(identity="agent-1", is_agent=True, is_phone=False)


@pytest.fixture
def sent(desk: Desk) -> list[DispatchMetadata]:
    """Which agents were sent."""
    found: list[DispatchMetadata] = []

    async def come(metadata: DispatchMetadata) -> None:
        found.append(metadata)

    desk.rooms.agent = come
    return found


async def test_a_caller_who_stays_alone_is_sent_an_agent(
    desk: Desk, sent: list[DispatchMetadata]
) -> None:
    callers = UnansweredCallers(desk.database, desk.rooms)
    desk.rooms.present[ROOM] = [CALLER]
    await callers.check()
    assert sent == []  # the first one may be on its way
    await callers.check()
    assert sent == [DispatchMetadata()]
    await callers.check()
    assert len(sent) == 1  # so may this one
    await callers.check()
    assert len(sent) == 2
    desk.rooms.present[ROOM] = [CALLER, AGENT]
    for _ in range(4):
        await callers.check()
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("room_name", "present"),
    [(ROOM, []), (ROOM, [CALLER, AGENT]), ("call-1", [CALLER]), ("web-1", [CALLER])],
    ids=["nobody", "answered", "a call of ours", "a browser's"],
)
async def test_nobody_else_is(
    desk: Desk, sent: list[DispatchMetadata], room_name: str, present: list[Present]
) -> None:
    callers = UnansweredCallers(desk.database, desk.rooms)
    desk.rooms.present[room_name] = present
    for _ in range(3):
        await callers.check()
    assert sent == []


async def test_a_call_that_was_taken_is_the_reconcilers(desk: Desk) -> None:
    """Its agent may be gone: the call ends by `agent_lost`, and nobody begins it anew."""
    await factories.order(desk.database, desk.vault, desk.owner)
    await desk.dispatcher.dispatch_due()
    await desk.dispatcher.finish(10)
    async with desk.database.transaction() as db:
        [call] = await call_rows.find(db)
        await call_rows.write(db, call.id, room_name=ROOM)
    callers = UnansweredCallers(desk.database, desk.rooms)
    desk.rooms.present[ROOM] = [CALLER]
    for _ in range(3):
        await callers.check()
    assert desk.journal.count("agent ready") == 1


async def test_livekit_may_be_away(desk: Desk, sent: list[DispatchMetadata]) -> None:
    callers = UnansweredCallers(desk.database, desk.rooms)
    desk.rooms.present[ROOM] = [CALLER]
    await callers.check()
    desk.rooms.broken = True
    await callers.check()
    desk.rooms.broken = False
    await callers.check()
    assert len(sent) == 1
