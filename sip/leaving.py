"""A room is left before it is deleted, and once the others have no track in it any more.

Of a participant whom the server puts out, by deleting the room too, the SDK keeps the native side
until the process ends: half a megabyte and often a thread for each call (issue 1443 of
livekit/rust-sdks, present in `livekit` 1.1.21). So everybody in the room is asked to leave who
knows the message: an agent, and a gateway's participant, which says so by an attribute. LiveKit's
own SIP service does not, and is put out.

Of a participant whose tracks are in the room when we leave it, the SDK keeps our whole connection:
half a megabyte again, whether we were subscribed or not (pull request 1435 of the same repository).
So who leaves first has the server take the others' tracks off, which takes some 15 ms and asks
nothing of their processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import aiohttp
from livekit import api, rtc
from livekit.protocol.models import DataPacket, ParticipantInfo

from process.logs import get_logger

log = get_logger(__name__)

TOPIC = "offhook.leave"
KNOWN = {"offhook.leaves_when_asked": "true"}
"""The attributes of a participant who leaves when asked, and is there for one call alone."""
BARE_LIMIT_S = 1.0
"""For the others' tracks to be gone; so late at most a hang-up is seen in the room."""
AT_ONCE_S = 0.5
"""The same for a process that is about to end, and what it keeps with it."""
AGAIN_S = 0.2
"""After which those who are still there are asked once more."""
LEAVE_LIMIT_S = 2.5
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


async def end_room(client: api.LiveKitAPI, room_name: str, *, me: rtc.Room | None = None) -> None:
    """Have everybody leave, wait for it a while, and delete the room.

    A room that is gone is ended already.

    Args:
        me: the caller's own place in the room, which it leaves.

    Raises:
        livekit.api.ServerError, aiohttp.ClientError, TimeoutError: LiveKit did not do it.
    """
    with unless_gone():
        try:
            await _request(client, room_name)
        finally:
            if me is not None:  # a room, too, that the server knows no more
                await _remove(client, me, lambda: bool(_tracks(me)))
                await me.disconnect()
        await _until_left(client, room_name)
        await client.room.delete_room(api.DeleteRoomRequest(room=room_name))


async def leave(
    client: api.LiveKitAPI,
    room: rtc.Room,
    reason: rtc.DisconnectReason.ValueType,
    *,
    limit_s: float = BARE_LIMIT_S,
) -> None:
    """Leave a room that may go on; at once where somebody is left who is heard by another.

    Args:
        reason: what the others are told.
        limit_s: for the tracks of those who are there for this call alone to be gone.
    """

    def is_to_wait() -> bool:
        owners = _tracks(room)
        return bool(owners) and all(map(_is_for_this_call, owners))

    await _remove(client, room, is_to_wait, limit_s=limit_s)
    await room.disconnect(reason=reason)


async def _remove(
    client: api.LiveKitAPI,
    room: rtc.Room,
    is_to_wait: Callable[[], bool],
    *,
    limit_s: float = BARE_LIMIT_S,
) -> None:
    """Take the others' tracks off the room, and wait while there are some to wait for."""
    if not room.isconnected() or not is_to_wait():
        return
    try:
        async with asyncio.timeout(limit_s):
            for each in _tracks(room):
                await _silence(client, room.name, each.identity)
            await _while(room, is_to_wait)
    except (api.ServerError, aiohttp.ClientError, TimeoutError) as exc:
        log.warning("others still publish in the room that is left", room=room.name, why=exc)


async def _silence(client: api.LiveKitAPI, room_name: str, identity: str) -> None:
    """Take a participant's right to publish away, and with it their tracks."""
    who = api.RoomParticipantIdentity(room=room_name, identity=identity)
    with unless_gone():
        permission = (await client.room.get_participant(who)).permission
        permission.can_publish = False
        await client.room.update_participant(
            api.UpdateParticipantRequest(room=room_name, identity=identity, permission=permission)
        )


async def _while(room: rtc.Room, holds: Callable[[], bool]) -> None:
    """Wait until something holds no more in the room, or we are out of it."""
    changed = asyncio.Event()

    def check(*_: object) -> None:
        changed.set()

    for event in _CHANGES:
        room.on(event, check)
    try:
        while room.isconnected() and holds():
            changed.clear()
            await changed.wait()
    finally:
        for event in _CHANGES:
            room.off(event, check)


def _tracks(room: rtc.Room) -> list[rtc.RemoteParticipant]:
    """Return the others who publish."""
    return [each for each in room.remote_participants.values() if each.track_publications]


async def _request(client: api.LiveKitAPI, room_name: str) -> None:
    """Ask those to leave who know the message, and hang up the telephones of those who do not.

    A page is told by the deletion of its room that the conversation is over.
    """
    present = await _present(client, room_name)
    if any(map(_knows, present)):  # a message to nobody is a warning of theirs
        await _send(client, room_name)
    for each in present:
        if each.kind == ParticipantInfo.Kind.SIP and not _knows(each):
            await put_out(client, room_name, each.identity)


async def _send(client: api.LiveKitAPI, room_name: str) -> None:
    request = api.SendDataRequest(room=room_name, kind=RELIABLE, topic=TOPIC)
    await client.room.send_data(request)


async def put_out(client: api.LiveKitAPI, room_name: str, identity: str) -> None:
    """Have a participant leave, which hangs up a telephone; who is gone has left already."""
    who = api.RoomParticipantIdentity(room=room_name, identity=identity)
    with unless_gone():
        await client.room.remove_participant(who)


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


def _is_for_this_call(who: rtc.RemoteParticipant) -> bool:
    """Whether it is an agent that has nobody to talk to once the call is over."""
    is_agent = who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return is_agent and _says_so(who.attributes)


def _says_so(attributes: Mapping[str, str]) -> bool:
    return all(attributes.get(name) == value for name, value in KNOWN.items())


async def _present(client: api.LiveKitAPI, room_name: str) -> list[ParticipantInfo]:
    answer = await client.room.list_participants(api.ListParticipantsRequest(room=room_name))
    return list(answer.participants)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Pass over that somebody, or the room, is gone already."""
    try:
        yield
    except api.ServerError as exc:
        if exc.code != api.TwirpErrorCode.NOT_FOUND:
            raise
