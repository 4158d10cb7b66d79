"""A room is left before it is deleted.

Of a participant whom the server puts out, by deleting the room too, the SDK keeps the native side
of what it published until the process ends: a thread and its memory for each call (issue 1443 of
livekit/rust-sdks, present in `livekit` 1.1.21). Who leaves by itself leaves nothing. So everybody
in the room is asked to leave who knows the message: an agent, and a gateway's participant, which
says so by an attribute. Others, LiveKit's own SIP service and browsers, are put out.

Of a participant whose tracks are still published when we leave, the SDK keeps the connection: half
a megabyte for each call, and the first time five threads (pull request 1435 of the same
repository). So who leaves first tells, takes its own tracks off the room, and waits until the
others have done the same. That takes a tenth of a second, and seconds on a machine that is busy;
nobody waits for it, as whoever is told takes the call for over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Literal

from livekit import api, rtc
from livekit.protocol.models import DataPacket, ParticipantInfo

from process.logs import get_logger

log = get_logger(__name__)

TOPIC = "offhook.leave"
LEAVES = "offhook.leaves"
"""Tells that its sender is about to leave, and for which reason."""
KNOWN = {"offhook.leaves_when_asked": "true"}
"""The attributes of a SIP participant who knows these messages."""
BARE_LIMIT_S = 5.0
"""For the agents to take their tracks off the room."""
AT_ONCE_S = 0.5
"""The same for a process that is about to end, and what it keeps with it."""
GONE_LIMIT_S = 1.0
"""For them to be gone as well."""
AGAIN_S = 0.2
"""After which those who are still there are asked once more."""
LEAVE_LIMIT_S = 4.0
"""For those who are asked to leave; an agent may have a sentence to break off."""
RELIABLE = DataPacket.Kind.RELIABLE
_LOOK_S = 0.02
_CHANGES: tuple[Literal["track_unpublished", "participant_disconnected", "disconnected"], ...] = (
    "track_unpublished",
    "participant_disconnected",
    "disconnected",
)


def is_request(packet: rtc.DataPacket) -> bool:
    """Return whether a message asks its receiver to leave the room; an agent or the server may."""
    sender = packet.participant
    may = sender is None or sender.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return packet.topic == TOPIC and may


def announced(packet: rtc.DataPacket, identity: str) -> rtc.DisconnectReason.ValueType | None:
    """Return why this participant is about to leave, if that is what it says."""
    sender = packet.participant
    if packet.topic != LEAVES or sender is None or sender.identity != identity:
        return None
    known = rtc.DisconnectReason.values()
    return next((each for each in known if packet.data == _written(each)), None)


async def end_room(client: api.LiveKitAPI, room_name: str, *, me: rtc.Room | None = None) -> None:
    """Have everybody leave, wait for it a while, and delete the room.

    A room that is gone is ended already.

    Args:
        me: the caller's own place in the room, which it leaves.

    Raises:
        livekit.api.ServerError, aiohttp.ClientError, TimeoutError: LiveKit did not do it.
    """
    try:
        try:
            await _ask(client, room_name)
        finally:
            if me is not None:  # a room, too, that the server knows no more
                await leave(me)
        await _until_left(client, room_name)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:
            raise


async def leave(
    room: rtc.Room,
    reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
    *,
    limit_s: float = BARE_LIMIT_S,
    gone_limit_s: float = 0.0,
) -> None:
    """Leave a room so that the SDK keeps nothing of it; at once where nobody else publishes.

    Args:
        reason: what the others are told.
        limit_s: for them to take their tracks off the room.
        gone_limit_s: for them to leave as well. A track that is taken off just when it arrives
            here is put on again by the SDK, until its owner is gone.
    """
    if room.isconnected():  # or trying to be so again
        if _others_publish(room):
            with suppress(rtc.participant.PublishDataError):  # the room was closed meanwhile
                await room.local_participant.publish_data(_written(reason), topic=LEAVES)
        await _unpublish(room)
        if not await _until(room, lambda: not _others_publish(room), limit_s):
            log.warning("others still publish in the room that is left", room=room.name)
        await _until(room, lambda: not any(_others(room)), gone_limit_s)
    await room.disconnect(reason=reason)


def follow(room: rtc.Room, identity: str) -> None:
    """Take our tracks off the room as soon as this participant is about to leave it."""
    tasks: set[asyncio.Task[None]] = set()

    def on_data(packet: rtc.DataPacket) -> None:
        if announced(packet, identity) is not None:
            task = asyncio.create_task(_unpublish(room))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    room.on("data_received", on_data)


async def _ask(client: api.LiveKitAPI, room_name: str) -> None:
    """Ask those to leave who know the message, and put out the others."""
    present = await _present(client, room_name)
    if any(map(_knows, present)):  # a message to nobody is a warning of theirs
        await _send(client, room_name)
    for each in present:
        if not _knows(each):
            await _put_out(client, room_name, each.identity)


async def _send(client: api.LiveKitAPI, room_name: str) -> None:
    request = api.SendDataRequest(room=room_name, kind=RELIABLE, topic=TOPIC)
    await client.room.send_data(request)


async def _unpublish(room: rtc.Room) -> None:
    for sid in list(room.local_participant.track_publications):
        # Gone already: the room was closed, or left, meanwhile.
        with suppress(rtc.participant.UnpublishTrackError):
            await room.local_participant.unpublish_track(sid)


async def _until(room: rtc.Room, holds: Callable[[], bool], limit_s: float) -> bool:
    """Return whether something came to hold in the room within so long, or we were out of it."""
    changed = asyncio.Event()

    def look(*_: object) -> None:
        changed.set()

    for event in _CHANGES:
        room.on(event, look)
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while room.isconnected() and not holds():
                changed.clear()
                await changed.wait()
    for event in _CHANGES:
        room.off(event, look)
    return not room.isconnected() or holds()


def _others_publish(room: rtc.Room) -> bool:
    """Whether there is a track in the room that its owner takes off it when we leave."""
    return any(each.track_publications for each in _others(room))


def _others(room: rtc.Room) -> Iterator[rtc.RemoteParticipant]:
    """Yield the agents: another call in the room goes on when we leave, and keeps its track."""
    agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    for each in room.remote_participants.values():
        if each.kind == agent:
            yield each


def _written(reason: rtc.DisconnectReason.ValueType) -> bytes:
    return b"%d" % reason


async def _put_out(client: api.LiveKitAPI, room_name: str, identity: str) -> None:
    who = api.RoomParticipantIdentity(room=room_name, identity=identity)
    try:
        await client.room.remove_participant(who)
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:  # else it has left meanwhile
            raise


async def _until_left(client: api.LiveKitAPI, room_name: str) -> None:
    """Wait until those who were asked to leave have left, for a bounded time.

    Who came in only just has not heard of it, and is asked again.
    """
    loop = asyncio.get_running_loop()
    asked = loop.time()
    until = asked + LEAVE_LIMIT_S
    # Another process leaves: there is no event here.
    while any(map(_knows, await _present(client, room_name))) and loop.time() < until:
        if loop.time() - asked > AGAIN_S:
            asked = loop.time()
            await _send(client, room_name)
        await asyncio.sleep(_LOOK_S)


def _knows(who: ParticipantInfo) -> bool:
    """Whether a participant leaves when it is asked to."""
    return who.kind == ParticipantInfo.Kind.AGENT or _says_so(who.attributes)


def _says_so(attributes: Mapping[str, str]) -> bool:
    return all(attributes.get(name) == value for name, value in KNOWN.items())


async def _present(client: api.LiveKitAPI, room_name: str) -> list[ParticipantInfo]:
    answer = await client.room.list_participants(api.ListParticipantsRequest(room=room_name))
    return list(answer.participants)
