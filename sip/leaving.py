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
"""For SIP participants, who are put out then: LiveKit's own service does not know the message."""
AGENT_LIMIT_S = 2.0
"""For an agent, which may have a sentence to break off."""
RELIABLE = DataPacket.Kind.RELIABLE
Kinds = tuple[int, ...]
_OURS: Kinds = (ParticipantInfo.Kind.AGENT, ParticipantInfo.Kind.SIP)
"""The kinds that may know the message."""
_LOOK_S = 0.02


def is_request(packet: rtc.DataPacket) -> bool:
    """Return whether a message asks its receiver to leave the room; an agent or the server may."""
    sender = packet.participant
    may = sender is None or sender.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return packet.topic == TOPIC and may


async def end_room(client: api.LiveKitAPI, room_name: str, *, me: rtc.Room | None = None) -> None:
    """Ask everybody to leave, wait for it a while, and delete the room.

    A room that is gone is ended already.

    Args:
        me: the caller's own place in the room, which it leaves.

    Raises:
        livekit.api.ServerError, aiohttp.ClientError, TimeoutError: LiveKit did not do it.
    """
    try:
        if await _present(client, room_name):  # a message to nobody is a warning of theirs
            request = api.SendDataRequest(room=room_name, kind=RELIABLE, topic=TOPIC)
            await client.room.send_data(request)
            if me is not None:
                await me.disconnect()
            await _see_out(client, room_name)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:
            raise


async def _see_out(client: api.LiveKitAPI, room_name: str) -> None:
    """Hang up whom the message does not reach, and wait for the agents."""
    for each in await _still_there(client, room_name, _OURS, LIMIT_S):
        if each.kind == ParticipantInfo.Kind.SIP:
            await put_out(client, room_name, each.identity)
    await _still_there(client, room_name, (ParticipantInfo.Kind.AGENT,), AGENT_LIMIT_S)


async def put_out(client: api.LiveKitAPI, room_name: str, identity: str) -> None:
    """Have a participant leave, which hangs up a telephone; who is gone has left already."""
    who = api.RoomParticipantIdentity(room=room_name, identity=identity)
    try:
        await client.room.remove_participant(who)
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:  # else it has left meanwhile
            raise


async def _still_there(
    client: api.LiveKitAPI, room_name: str, kinds: Kinds, limit_s: float
) -> list[ParticipantInfo]:
    """Return who of these kinds is left after so long; at once when nobody is."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    # Another process leaves: there is no event here.
    while (left := await _present(client, room_name, kinds)) and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_S)
    return left


async def _present(
    client: api.LiveKitAPI, room_name: str, kinds: Kinds = _OURS
) -> list[ParticipantInfo]:
    answer = await client.room.list_participants(api.ListParticipantsRequest(room=room_name))
    return [each for each in answer.participants if each.kind in kinds]
