"""Who hears whom before a human has the call, whoever comes into the room and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from agent.warm import gates
from agent.warm.gates import Gates
from sip.ports import SipTrouble

pytestmark = pytest.mark.unit

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class Room:
    """A room as LiveKit's client shows it, and a server that subscribes everybody to everything."""

    def __init__(self) -> None:
        self.remote_participants: dict[str, Any] = {}
        self.hears: dict[str, set[str]] = {}
        self.fails = 0
        self.released: list[str] = []
        self._handlers: dict[str, list[Any]] = {}
        self.changed = asyncio.Event()

    def on(self, event: str, handler: Any) -> None:
        self._handlers.setdefault(event, []).append(handler)

    def off(self, event: str, handler: Any) -> None:
        self._handlers[event] = [each for each in self._handlers[event] if each != handler]

    def comes(self, identity: str, *, kind: int = SIP) -> None:
        self.remote_participants[identity] = SimpleNamespace(
            identity=identity, kind=kind, track_publications={}
        )
        self.hears[identity] = {"line"}
        self._tell("participant_connected")

    def publishes(self, identity: str) -> None:
        sid = f"{identity}'s"
        self.remote_participants[identity].track_publications[sid] = object()
        for other, heard in self.hears.items():
            if other != identity:
                heard.add(sid)
        self._tell("track_published")

    async def set(self, identity: str, track_sids: Collection[str], *, hears: bool) -> None:
        if self.fails:
            self.fails -= 1
            raise SipTrouble("not now")
        heard = self.hears.get(identity, set())
        (heard.update if hears else heard.difference_update)(track_sids)
        self.changed.set()

    async def release(self, identity: str) -> None:
        assert self.hears["person"] == {"line"}, "only once they are apart"
        self.released.append(identity)

    async def put_out(self, identity: str) -> None:
        raise AssertionError("nobody is hung up here")

    async def until(self, identity: str, heard: set[str]) -> None:
        async with asyncio.timeout(5):
            while self.hears[identity] != heard:
                self.changed.clear()
                await self.changed.wait()

    def _tell(self, event: str) -> None:
        for handler in self._handlers.get(event, []):
            handler(object())


@asynccontextmanager
async def apart(room: Room) -> AsyncIterator[Gates]:
    room.comes("person")
    room.publishes("person")
    room.hears["person"].add("aside")
    between = Gates(room, "person", room, line=lambda: "line", aside=lambda: "aside")  # type: ignore[arg-type]
    between.begin()
    try:
        yield between
    finally:
        await between.aclose()
    assert not any(room._handlers.values()), "it listens no more"


async def test_a_human_is_set_apart_as_they_come() -> None:
    room = Room()
    async with apart(room) as between:
        await room.until("person", {"line"})
        assert between.human is None
        room.comes("human")
        room.hears["human"] |= {"aside", "person's"}
        await room.until("human", {"aside"})
        room.publishes("human")
        await room.until("person", {"line"})
        assert room.hears["human"] == {"aside"}


async def test_a_subscription_that_the_server_makes_later_is_taken_away_too() -> None:
    room = Room()
    async with apart(room):
        room.comes("human")
        await room.until("human", set())
        room.hears["human"] |= {"aside", "person's", "line"}  # it is active, and told nothing of it
        await room.until("human", {"aside"})


async def test_a_server_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.01)
    room = Room()
    room.fails = 3
    async with apart(room) as between:
        room.comes("human")
        room.publishes("human")
        assert room.released == []
        await between.set_apart()
        assert room.hears["person"] == {"line"}
        assert room.released == ["human"]


async def test_one_that_goes_on_failing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.01)
    monkeypatch.setattr(gates, "SET_WITHIN_S", 0.05)
    room = Room()
    room.fails = 1_000
    async with apart(room) as between:
        with pytest.raises(SipTrouble, match="not now"):
            await between.set_apart()


async def test_they_hear_each_other_once_it_is_theirs() -> None:
    room = Room()
    async with apart(room) as between:
        room.comes("human")
        room.publishes("human")
        await between.set_apart()
        await between.open()
        assert room.hears["person"] == {"line", "human's"}
        assert room.hears["human"] == {"person's"}, "and not what the agent says to the person"
        room.hears["human"].add("aside")
        room.publishes("human")  # changes nothing any more
        await asyncio.sleep(0)
        assert room.hears["human"] == {"person's", "aside"}


async def test_without_one_of_them_there_is_nothing_to_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.01)
    monkeypatch.setattr(gates, "SET_WITHIN_S", 0.05)
    async with apart(Room()) as between:
        with pytest.raises(SipTrouble, match="has left"):
            await between.open()


async def test_who_is_called_next_is_apart_from_the_first_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one before them was hung up, and is still shown."""
    monkeypatch.setattr(gates, "AGAIN_S", 60.0)
    room = Room()
    async with apart(room) as between:
        room.comes("first")
        room.publishes("first")
        await between.set_apart()
        room.comes("second")
        room.publishes("second")
        await room.until("person", {"line"})
        await room.until("second", set())
        assert between.human is room.remote_participants["second"]


async def test_an_agent_is_no_human() -> None:
    room = Room()
    async with apart(room) as between:
        room.comes("another", kind=AGENT)
        assert between.human is None
