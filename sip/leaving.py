"""A room is left before it is deleted.

Of a participant whom the server puts out, by deleting the room too, the SDK keeps the native side
of what it published until the process ends: a thread and its memory for each call (issue 1443 of
livekit/rust-sdks, present in `livekit` 1.1.21). Who leaves by itself leaves nothing. So everybody
in the room is asked to leave; LiveKit's own SIP service does not know the message and stays.
"""

from __future__ import annotations

import asyncio

from livekit import api, rtc
from livekit.protocol.models import DataPacket, ParticipantInfo

TOPIC = "offhook.leave"
LIMIT_S = 0.2
RELIABLE = DataPacket.Kind.RELIABLE
_OURS = (ParticipantInfo.Kind.AGENT, ParticipantInfo.Kind.SIP)
"""The kinds that may know the message."""
_LOOK_S = 0.02


def is_request(packet: rtc.DataPacket) -> bool:
    """Return whether a message asks its receiver to leave the room; an agent or the server may."""
    sender = packet.participant
    may = sender is None or sender.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return packet.topic == TOPIC and may


async def end_room(client: api.LiveKitAPI, room_name: str, *, me: rtc.Room | None = None) -> None:
    """Ask everybody to leave, wait for it until `LIMIT_S` have passed, and delete the room.

    A room that is gone is ended already.

    Args:
        me: the caller's own place in the room, which it leaves.

    Raises:
        livekit.api.ServerError, aiohttp.ClientError, TimeoutError: LiveKit did not do it.
    """
    try:
        if await _is_anybody_there(client, room_name):  # a message to nobody is a warning of theirs
            request = api.SendDataRequest(room=room_name, kind=RELIABLE, topic=TOPIC)
            await client.room.send_data(request)
            if me is not None:
                await me.disconnect()
            await _wait_empty(client, room_name)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:
            raise


async def _wait_empty(client: api.LiveKitAPI, room_name: str) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + LIMIT_S
    # Another process leaves: there is no event here.
    while loop.time() < until and await _is_anybody_there(client, room_name):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_S)


async def _is_anybody_there(client: api.LiveKitAPI, room_name: str) -> bool:
    answer = await client.room.list_participants(api.ListParticipantsRequest(room=room_name))
    return any(each.kind in _OURS for each in answer.participants)
