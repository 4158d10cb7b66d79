"""When a call's room carries its sound beside the short way: by who is in it, and by faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from process.short_way.carrier import Carrier
from process.short_way.messages import Hello, Message, Room
from process.short_way.offers import Folder
from sip.gateway.bridge import Bridge
from sip.gateway.ways import Ways

pytestmark = pytest.mark.unit


class Media:
    """The port of the media engine: which tracks are listened to."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def hear(self, _bridge: Bridge, sid: str, _track: Any) -> None:
        self.heard.add(sid)

    def unhear(self, _bridge: Bridge, sid: str) -> None:
        self.heard.discard(sid)


class Call:
    """A call with an agent's and somebody else's track, whose short way can be taken."""

    def __init__(self, folder: Path) -> None:
        offers = Folder(folder)
        offers.prepare()
        self.media = Media()
        self.others: bool | None = False
        self.asked = asyncio.Event()
        self.taken: list[str] = []
        self.bridge = Bridge(None, lambda _: None, 8_000)  # type: ignore[arg-type]
        self.ways = Ways(self.media, self.bridge, self._who, self.taken.append, linger_s=0.0)  # type: ignore[arg-type]
        offer = offers.offer()
        self.ways.offer(offer)
        assert self.ways._short is not None
        self.short = self.ways._short
        self.ways.track("TR_agent", None, "agent")  # type: ignore[arg-type]
        self.ways.track("TR_other", None, "other")  # type: ignore[arg-type]
        agent = offers.accept(offer.token, "agent")
        assert agent is not None
        self.agent: Carrier = agent

    async def _who(self, agent: str) -> bool | None:
        assert agent == "agent"
        self.asked.set()
        return self.others

    async def look(self, others: bool | None) -> None:
        """Have the room looked at again, with these in it, and what follows from it done."""
        self.others = others
        for _ in range(2):
            self.asked.clear()
            self.ways.recheck()
            async with asyncio.timeout(5.0):
                await self.asked.wait()
        await asyncio.sleep(0)

    def told(self) -> list[Message]:
        found: list[Message] = []
        while (message := self.agent.receive()) is not None:
            found.append(message)
        return found


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    made = Call(tmp_path)
    yield made
    await made.ways.close()
    made.bridge.close()
    made.agent.close()


async def test_the_room_is_used_until_the_short_way_is_taken_and_nobody_else_is_there(
    call: Call,
) -> None:
    assert call.media.heard == {"TR_agent", "TR_other"}
    call.short.serve(0.0)
    await call.look(None)
    assert call.taken == ["agent"]
    assert call.media.heard == {"TR_agent", "TR_other"}, "not known: both ways are open"
    assert not call.short.replaces_room
    await call.look(False)
    assert call.media.heard == {"TR_other"}
    assert call.short.replaces_room
    assert call.told() == [Hello(rate=8_000)]


async def test_the_room_carries_all_of_it_while_others_are_there(call: Call) -> None:
    call.short.serve(0.0)
    await call.look(False)
    await call.look(True)
    assert call.media.heard == {"TR_agent", "TR_other"}
    assert not call.short.replaces_room
    await call.look(None)
    assert not call.short.replaces_room, "as it was, while nobody knows"
    await call.look(False)
    assert call.media.heard == {"TR_other"}
    assert call.short.replaces_room
    assert call.told()[1:] == [Room(True), Room(False)]


async def test_a_track_of_the_agents_that_comes_later_is_left_out_as_well(call: Call) -> None:
    call.short.serve(0.0)
    await call.look(False)
    call.ways.track("TR_agent_2", None, "agent")  # type: ignore[arg-type]
    assert call.media.heard == {"TR_other"}
    call.ways.track_ended("TR_agent_2")
    call.agent.close()
    call.short.serve(0.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert call.media.heard == {"TR_agent", "TR_other"}, "the way broke"


async def test_who_takes_it_as_the_call_ends_starts_nothing(call: Call) -> None:
    call.short.serve(0.0)  # the event loop is told of it next
    await call.ways.close()
    await asyncio.sleep(0)
    assert call.taken == []
    assert call.ways._looking is None
