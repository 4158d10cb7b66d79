"""How a call's participant leaves: by itself, and after the tracks of those who are left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from livekit import api
from livekit.rtc import DisconnectReason

from sip import leaving
from tests.contract.sip.conftest import Target
from tests.contract.sip.peer import Phone
from tests.contract.sip.test_outbound import CALLER, answered, dial
from tests.contract.sip.watcher import Watcher

pytestmark = [pytest.mark.system]


@asynccontextmanager
async def in_the_room(
    target: Target, room: str, *, attributes: Mapping[str, str] = leaving.KNOWN
) -> AsyncIterator[Watcher]:
    """Have an agent in the room who speaks, and does nothing of what it is asked."""
    agent = Watcher(target.livekit_url, target.key, target.secret, room, "agent", attributes)
    await agent.join()
    await agent.publish()
    yield agent
    await agent.leave()


def happened(watcher: Watcher, *wanted: tuple[str, str]) -> list[tuple[str, str]]:
    """Return what of this a watcher saw, in order."""
    return [found for note in watcher.notes if (found := (note.what, note.identity)) in wanted]


async def test_a_call_leaves_after_the_agents_track(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    target: Target,
    room_name: str,
) -> None:
    async with in_the_room(target, room_name) as agent:
        talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
        await watcher.status(CALLER, "active")
        talk.send("BYE")
        left = await watcher.gone(CALLER)
    steps = ("track off", agent.identity), ("left", CALLER)
    assert happened(watcher, *steps)[:2] == list(steps)  # else its process keeps the connection
    assert left.reason == DisconnectReason.CLIENT_INITIATED


@pytest.mark.parametrize("why", ["somebody else speaks", "the agent is another's"])
async def test_whoever_may_be_heard_on_keeps_their_track(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    target: Target,
    room_name: str,
    why: str,
) -> None:
    speaks = why == "somebody else speaks"
    attributes = leaving.KNOWN if speaks else {}
    if speaks:
        await watcher.publish()
    async with in_the_room(target, room_name, attributes=attributes) as agent:
        talk, _, _ = await answered(sip, phone, dial(room_name, trunk))
        await watcher.status(CALLER, "active")
        talk.send("BYE")
        await watcher.gone(CALLER)
        assert watcher.room.remote_participants[agent.identity].track_publications


async def test_an_agent_that_ends_the_room_leaves_after_the_calls_track(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    target: Target,
    room_name: str,
    lk: api.LiveKitAPI,
) -> None:
    async with in_the_room(target, room_name) as agent, in_the_room(target, room_name) as other:
        await answered(sip, phone, dial(room_name, trunk))
        await other.status(CALLER, "active")
        ending = asyncio.create_task(leaving.end_room(lk, room_name, me=agent.room))
        await phone.request("BYE")
        await other.gone(agent.identity)
        await other.leave()
        await ending
    steps = ("track off", CALLER), ("left", agent.identity)
    assert happened(other, *steps)[:2] == list(steps)


async def test_a_page_is_told_that_the_room_ended_and_the_gateway_leaves_by_itself(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    watcher: Watcher,
    target: Target,
    room_name: str,
    lk: api.LiveKitAPI,
) -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    watcher.room.on("disconnected", told.set_result)
    async with in_the_room(target, room_name) as agent:
        await answered(sip, phone, dial(room_name, trunk))
        await agent.status(CALLER, "active")
        ending = asyncio.create_task(leaving.end_room(lk, room_name))
        left = await agent.gone(CALLER)
        await agent.leave()
        await ending
        assert await told == DisconnectReason.ROOM_DELETED
    assert left.reason == DisconnectReason.CLIENT_INITIATED  # by itself: it was not put out


async def test_who_comes_in_while_the_room_ends_is_asked_too(
    sip: api.SipService,
    phone: Phone,
    trunk: str,
    target: Target,
    room_name: str,
    lk: api.LiveKitAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "LEAVE_LIMIT_S", 20.0)  # the dial takes a while here
    async with in_the_room(target, room_name) as agent:
        asked = asyncio.Event()
        agent.room.on("data_received", lambda packet: asked.set() if packet.topic else None)
        ending = asyncio.create_task(leaving.end_room(lk, room_name))
        await asked.wait()
        await answered(sip, phone, dial(room_name, trunk))
        left = await agent.gone(CALLER)
        await agent.leave()
        await ending
    assert left.reason == DisconnectReason.CLIENT_INITIATED
