"""How a call's participant leaves: by itself, and after those who take their tracks off for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit import api, rtc
from livekit.rtc import DisconnectReason

from sip import leaving
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Phone
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = [pytest.mark.system]

PATIENCE_S = 1.0
"""Less than the gateway has, and more than what a message takes."""


@pytest.fixture
async def agent(target: Target, room_name: str) -> AsyncIterator[Watcher]:
    """Return an agent who speaks, and is slow to take its track off the room."""
    other = Watcher(target.livekit_url, target.key, target.secret, room_name, kind="agent")
    await other.join()
    await other.publish()
    yield other
    await other.leave()


def told(agent: Watcher) -> asyncio.Future[int]:
    """Return why the call's participant says that it leaves, once it does."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_data(packet: rtc.DataPacket) -> None:
        reason = leaving.announced(packet, CALLER)
        if reason is not None and not future.done():
            future.set_result(reason)

    agent.room.on("data_received", on_data)
    return future


async def test_a_call_leaves_once_the_agent_takes_its_track_off(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    agent: Watcher,
    room_name: str,
) -> None:
    leaves = told(agent)
    talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
    await watcher.status(CALLER, "active")
    talk.send("BYE")
    assert await leaves == DisconnectReason.CLIENT_INITIATED
    with pytest.raises(TimeoutError):  # else its process would keep the connection
        await watcher.gone(CALLER, PATIENCE_S)
    await agent.room.local_participant.unpublish_track(agent.track_sid)
    left = await watcher.gone(CALLER)
    assert left.reason == DisconnectReason.CLIENT_INITIATED


async def test_who_leaves_by_itself_is_given_time_when_the_room_ends(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    agent: Watcher,
    room_name: str,
    lk: api.LiveKitAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "LEAVE_LIMIT_S", 20.0)
    leaves = told(agent)
    await answered(sip, phone, dial(room_name, trunk))
    await watcher.status(CALLER, "active")
    put_out: list[int] = []
    watcher.room.on("disconnected", put_out.append)
    ending = asyncio.create_task(leaving.end_room(lk, room_name))
    await phone.request("BYE")
    await leaves
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await agent.gone(CALLER)
    await agent.room.local_participant.unpublish_track(agent.track_sid)
    left = await agent.gone(CALLER)
    await agent.leave()
    await ending
    assert left.reason not in (DisconnectReason.PARTICIPANT_REMOVED, 0)
    assert put_out == [DisconnectReason.PARTICIPANT_REMOVED]


async def test_who_comes_in_while_the_room_ends_is_asked_too(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    agent: Watcher,
    room_name: str,
    lk: api.LiveKitAPI,
) -> None:
    leaves, asked = told(agent), asyncio.Event()
    agent.room.on("data_received", lambda packet: asked.set() if packet.topic else None)
    ending = asyncio.create_task(leaving.end_room(lk, room_name))
    await asked.wait()
    await answered(sip, phone, dial(room_name, trunk))
    assert await leaves == DisconnectReason.ROOM_DELETED  # and not put out: who is says nothing
    await agent.room.local_participant.unpublish_track(agent.track_sid)
    await agent.leave()
    await ending
