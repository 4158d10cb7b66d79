"""What a call shows in its room at the end is waited for, and not in a room that is gone."""

from __future__ import annotations

import asyncio

import pytest
from livekit.rtc import DisconnectReason
from structlog.testing import capture_logs

from sip.gateway import rooms
from sip.gateway.errors import TwirpError
from sip.gateway.rooms import Hears, Member, RoomSide, Server

pytestmark = pytest.mark.unit

MEMBER, HEARS = Member("room", "phone"), Hears(*([lambda *_: None] * 6))


def unanswered() -> RoomSide:
    """Return a call's side in a room whose server takes a change and never answers."""
    side = RoomSide(Server("ws://127.0.0.1:1", "key", "secret"), MEMBER, HEARS)
    side._writer = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
    side.show({"sip.callStatus": "hangup"})
    return side


async def close(side: RoomSide) -> None:
    assert side._writer is not None
    side._writer.cancel()
    await asyncio.gather(side._writer, return_exceptions=True)


async def test_a_room_that_is_closed_meanwhile_is_not_waited_for() -> None:
    side = unanswered()
    waiting = asyncio.create_task(side.settled())
    with capture_logs() as lines:
        await asyncio.sleep(0)
        assert not waiting.done()
        side._room.emit("disconnected", DisconnectReason.ROOM_DELETED)
        async with asyncio.timeout(rooms._LEAVE_LIMIT_S / 2):
            await waiting
    assert lines == []
    await close(side)


async def test_a_server_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_LEAVE_LIMIT_S", 0.01)
    side = unanswered()
    with capture_logs() as lines:
        await side.settled()
    assert [line["event"] for line in lines] == ["attributes did not reach the server"]
    await close(side)


class SlowRoom:
    """A room that lets nobody in until the test says so."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.left = asyncio.Event()
        self.broken_off = False

    async def connect(self, *_: object) -> None:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.broken_off = True
            raise

    async def disconnect(self) -> None:
        self.left.set()


@pytest.mark.parametrize("how", ["too late", "the call was given up"])
async def test_joining_is_never_broken_off_and_who_is_in_late_leaves(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The SDK panics when nobody waits for the end of joining: every call would go with it."""
    monkeypatch.setattr(rooms, "_JOIN_LIMIT_S", 0.01 if how == "too late" else 30.0)
    side, slow = RoomSide(Server("ws://127.0.0.1:1", "key", "s" * 32), MEMBER, HEARS), SlowRoom()
    side._room = slow  # type: ignore[assignment]
    joining = asyncio.create_task(side.join())
    await asyncio.sleep(0)
    if how == "too late":
        with pytest.raises(TwirpError, match="cannot be joined"):
            await joining
    else:
        await asyncio.sleep(0)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
    slow.open.set()
    async with asyncio.timeout(5):
        await slow.left.wait()
    assert not slow.broken_off
