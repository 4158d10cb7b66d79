"""Which calls are in a room, as livekit-server tells it to who decides about briefs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from livekit import api, rtc

from sip.call_rooms import LiveKitCallRooms
from sip.ports import Caller, SipTrouble
from tests.contract.sip.conftest import Target

pytestmark = pytest.mark.system
FACTS = {
    "sip.trunkID": "ST_1",
    "sip.trunkPhoneNumber": "+15550100",
    "sip.phoneNumber": "+15550001",
    "sip.callIDFull": "abc@phone",
}


async def enter(
    target: Target, room_name: str, identity: str, kind: api.AccessToken.ParticipantKind
) -> rtc.Room:
    """Join with the attributes of a phone, which whoever signs a token may give anybody."""
    grants = api.VideoGrants(room_join=True, room=room_name)
    token = api.AccessToken(target.key, target.secret).with_identity(identity).with_kind(kind)
    room = rtc.Room()
    signed = token.with_attributes(FACTS).with_grants(grants).to_jwt()
    await room.connect(target.livekit_url, signed)
    return room


async def test_phones_are_told_with_the_rooms_age(
    target: Target, lk: api.LiveKitAPI, room_name: str
) -> None:
    rooms = LiveKitCallRooms(lk.room)
    assert await rooms.get_room(room_name) is None
    await lk.room.create_room(api.CreateRoomRequest(name=room_name))
    empty = await rooms.get_room(room_name)
    assert empty is not None
    assert empty.callers == ()
    assert abs(datetime.now(UTC) - empty.created_at) < timedelta(seconds=10)
    inside = [
        await enter(target, room_name, "browser", "standard"),
        await enter(target, room_name, "worker", "agent"),
        await enter(target, room_name, "sip_1", "sip"),
        await enter(target, room_name, "sip_0", "sip"),
    ]
    seen = await rooms.get_room(room_name)
    assert seen is not None
    assert seen.created_at == empty.created_at
    assert [each.identity for each in seen.callers] == ["sip_1", "sip_0"], "as they came"
    assert seen.callers[0] == Caller(
        identity="sip_1",
        sip_trunk_id="ST_1",
        called_number="+15550100",
        calling_number="+15550001",
        sip_call_id="abc@phone",
    )
    for each in inside:
        await each.disconnect()
    await lk.room.delete_room(api.DeleteRoomRequest(room=room_name))
    assert await rooms.get_room(room_name) is None


async def test_a_livekit_that_cannot_be_asked_is_told_apart_from_a_room_that_is_gone(
    target: Target, room_name: str
) -> None:
    for url, secret in (("http://127.0.0.1:1", target.secret), (target.livekit_url, "x" * 40)):
        client = api.LiveKitAPI(url, target.key, secret, failover=False)
        with pytest.raises(SipTrouble):
            await LiveKitCallRooms(client.room).get_room(room_name)
        await client.aclose()
