"""A room is left before it is deleted.

Of a participant whom the server puts out, by deleting the room too, the SDK keeps the native side
of what it published until the process ends: a thread and its memory for each call (issue 1443 of
livekit/rust-sdks, present in `livekit` 1.1.21). Who leaves by itself leaves nothing. So everybody
in the room is asked to leave; LiveKit's own SIP service does not know the message and stays.

Of a participant whose tracks are still published when we leave, the SDK keeps the connection: half
a megabyte for each call (pull request 1435 of the same repository). So who leaves first takes its
own tracks off the room, and waits a moment until the others have done the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from livekit import api, rtc
from livekit.protocol.models import DataPacket, ParticipantInfo

TOPIC = "offhook.leave"
LEAVES = "offhook.leaves"
"""Tells that its sender is about to leave, and with it the call is over."""
LIMIT_S = 0.2
"""For SIP participants, who are put out then: LiveKit's own service does not know the message."""
AGENT_LIMIT_S = 2.0
"""For an agent, which may have a sentence to break off."""
RELIABLE = DataPacket.Kind.RELIABLE
Kinds = tuple[int, ...]
_OURS: Kinds = (ParticipantInfo.Kind.AGENT, ParticipantInfo.Kind.SIP)
"""The kinds that may know the message."""
_LOOK_S = 0.02
_BARE_LIMIT_S = 0.5
"""For the others to take their tracks off the room: ours need a tenth of it."""


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
                await leave(me)
            await _see_out(client, room_name)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:
            raise


async def leave(
    room: rtc.Room,
    reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
) -> None:
    """Leave a room so that the SDK keeps nothing of it; at once where nobody else publishes."""
    if room.isconnected():
        if _others_publish(room):
            with suppress(rtc.participant.PublishDataError):  # the room was closed meanwhile
                await room.local_participant.publish_data(b"", topic=LEAVES)
        await _unpublish(room)
        await _until_bare(room)
    await room.disconnect(reason=reason)


def follow(room: rtc.Room, identity: str) -> None:
    """Take our tracks off the room as soon as this participant is about to leave it."""
    tasks: set[asyncio.Task[None]] = set()

    def on_data(packet: rtc.DataPacket) -> None:
        sender = packet.participant
        if packet.topic == LEAVES and sender is not None and sender.identity == identity:
            task = asyncio.create_task(_unpublish(room))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    room.on("data_received", on_data)


async def _unpublish(room: rtc.Room) -> None:
    for sid in list(room.local_participant.track_publications):
        # Gone already: the room was closed, or left, meanwhile.
        with suppress(rtc.participant.UnpublishTrackError):
            await room.local_participant.unpublish_track(sid)


async def _until_bare(room: rtc.Room) -> None:
    """Wait until nobody else publishes in the room, for a bounded time."""
    changed = asyncio.Event()

    def look(*_: object) -> None:
        changed.set()

    room.on("track_unpublished", look)
    room.on("participant_disconnected", look)
    room.on("disconnected", look)
    # Not in time: not one of ours, but a listener, or LiveKit's own SIP service.
    with suppress(TimeoutError):
        async with asyncio.timeout(_BARE_LIMIT_S):
            while room.isconnected() and _others_publish(room):
                changed.clear()
                await changed.wait()


def _others_publish(room: rtc.Room) -> bool:
    return any(each.track_publications for each in room.remote_participants.values())


async def _see_out(client: api.LiveKitAPI, room_name: str) -> None:
    """Hang up whom the message does not reach, and wait for the agents."""
    for each in await _still_there(client, room_name, _OURS, LIMIT_S):
        if each.kind == ParticipantInfo.Kind.SIP:
            await _put_out(client, room_name, each.identity)
    await _still_there(client, room_name, (ParticipantInfo.Kind.AGENT,), AGENT_LIMIT_S)


async def _put_out(client: api.LiveKitAPI, room_name: str, identity: str) -> None:
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
