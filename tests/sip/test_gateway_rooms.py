"""What a call shows in its room at the end is waited for, and not in a room that is gone."""

from __future__ import annotations

import asyncio

import pytest
from livekit.rtc import DisconnectReason
from structlog.testing import capture_logs

from sip.gateway import rooms
from sip.gateway.rooms import Hears, Member, RoomSide, Server

pytestmark = pytest.mark.unit


def unanswered() -> RoomSide:
    """Return a call's side in a room whose server takes a change and never answers."""
    hears = Hears(*([lambda *_: None] * 4))
    side = RoomSide(Server("ws://127.0.0.1:1", "key", "secret"), Member("room", "phone"), hears)
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
