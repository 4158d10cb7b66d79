"""A call's side in a LiveKit room: one SIP participant with its track and attributes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from livekit import api, rtc
from livekit.rtc import DisconnectReason

from process.logs import get_logger
from process.short_way.offers import ATTRIBUTE
from sip import leaving
from sip.gateway.errors import TwirpError

log = get_logger("sip.gateway.rooms")
_JOIN_LIMIT_S = 10.0
_LEAVE_LIMIT_S = 2.0
_abandoned: set[asyncio.Future[None]] = set()
"""What nobody waits for any more, kept until it is over."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where LiveKit is, and the key to it."""

    url: str
    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Member:
    """The participant a call appears as."""

    room: str
    identity: str
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hears:
    """What a call wants to know of its room."""

    gone: Callable[[DisconnectReason.ValueType], None]
    track: Callable[[str, rtc.Track, str], None]  # its id, itself, the identity of whose it is
    track_ended: Callable[[str], None]
    others: Callable[[], None]  # somebody came or left
    digits: Callable[[str], None]
    shown: Callable[[Mapping[str, str]], None]  # the participant's own attributes, changed


class RoomSide:
    """Joins as a participant of kind SIP; attribute changes are sent in their order."""

    def __init__(self, server: Server, member: Member, hears: Hears):
        self._server = server
        self._member = member
        self._hears = hears
        self._room = rtc.Room()
        self._changes: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._left = False
        self._publishing = asyncio.Lock()
        self._gone = asyncio.Event()
        self._room.on("disconnected", self._on_disconnected)
        self._room.on("participant_connected", self._on_others)
        self._room.on("participant_disconnected", self._on_others)
        self._room.on("track_subscribed", self._on_track)
        self._room.on("track_unsubscribed", self._on_track_ended)
        self._room.on("sip_dtmf_received", self._on_digits)
        self._room.on("data_received", self._on_data)
        self._room.on("participant_attributes_changed", self._on_attributes)

    @property
    def participant_id(self) -> str:
        """The server's id of the participant (PA_…)."""
        return str(self._room.local_participant.sid)

    @property
    def has_agent(self) -> bool:
        """Whether an agent is in it, who takes what it hears for speech."""
        agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return any(each.kind == agent for each in self._room.remote_participants.values())

    async def join(self) -> None:
        """Enter the room, creating it if absent; raises TwirpError when LiveKit cannot be had."""
        member = self._member
        token = (
            api.AccessToken(self._server.key, self._server.secret)
            .with_identity(member.identity)
            .with_name(member.name)
            .with_metadata(member.metadata)
            .with_attributes({**leaving.KNOWN, **member.attributes})
            .with_kind("sip")
            .with_grants(
                api.VideoGrants(
                    room_join=True,
                    room=member.room,
                    can_publish=True,
                    can_subscribe=True,
                    can_publish_data=True,
                    can_update_own_metadata=True,
                )
            )
        )
        joining = asyncio.ensure_future(self._room.connect(self._server.url, token.to_jwt()))
        try:
            await asyncio.wait([joining], timeout=_JOIN_LIMIT_S)
        finally:
            if not joining.done():
                self._abandon(joining)
        if not joining.done():
            raise TwirpError("unavailable", "the room cannot be joined: LiveKit does not answer")
        try:
            joining.result()
        except rtc.ConnectError as error:
            raise TwirpError("unavailable", f"the room cannot be joined: {error}") from error
        self._writer = asyncio.create_task(self._write())

    def _abandon(self, joining: asyncio.Future[None]) -> None:
        """Leave once we are in: who breaks off joining has the SDK panic, and the process end."""
        self._left = True
        _abandoned.add(joining)
        joining.add_done_callback(self._joined_late)

    def _joined_late(self, joining: asyncio.Future[None]) -> None:
        _abandoned.discard(joining)
        if not joining.cancelled() and joining.exception() is None:
            leaving_late = asyncio.ensure_future(self._room.disconnect())
            _abandoned.add(leaving_late)
            leaving_late.add_done_callback(_abandoned.discard)

    async def publish(self, source: rtc.AudioSource) -> None:
        """Publish the call's track; raises TwirpError."""
        track = rtc.LocalAudioTrack.create_audio_track(self._member.identity, source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        try:
            async with asyncio.timeout(_JOIN_LIMIT_S), self._publishing:
                if self._left:
                    raise TwirpError("unavailable", "the track was not published: the call is over")
                await self._room.local_participant.publish_track(track, options)
        except (rtc.participant.PublishTrackError, TimeoutError) as error:
            raise TwirpError("unavailable", f"the track was not published: {error}") from error

    def show(self, attributes: dict[str, str]) -> None:
        """Change attributes of the participant, soon and in order; never the short way's token."""
        self._changes.put_nowait({k: v for k, v in attributes.items() if k != ATTRIBUTE})

    async def settled(self) -> None:
        """Wait until every change made so far is at the server, for a bounded time.

        A room that is closed meanwhile, as when both sides hang up at once, answers no more: what
        was to be shown in it nobody would see.
        """
        if self._writer is None or self._writer.done():
            return
        written = asyncio.ensure_future(self._changes.join())
        gone = asyncio.ensure_future(self._gone.wait())
        done, _ = await asyncio.wait(
            {written, gone}, timeout=_LEAVE_LIMIT_S, return_when=asyncio.FIRST_COMPLETED
        )
        for each in (written, gone):
            each.cancel()
        if not done:
            log.warning("attributes did not reach the server", room=self._member.room)

    async def send_digit(self, code: int, digit: str) -> None:
        """Tell the room of a key the phone pressed."""
        if self._room.isconnected():
            await self._room.local_participant.publish_dtmf(code=code, digit=digit)

    async def leave(
        self,
        reason: DisconnectReason.ValueType,
        client: api.LiveKitAPI,
        *,
        at_once: bool = False,
    ) -> None:
        """Leave, if not already out, so that others see this reason.

        Args:
            client: takes the agent's track off first.
            at_once: whether this process is about to end.
        """
        self._left = True
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        limit_s = leaving.AT_ONCE_S if at_once else leaving.BARE_LIMIT_S
        try:
            async with asyncio.timeout(2 * limit_s + _LEAVE_LIMIT_S):
                await self._published(limit_s)
                await leaving.leave(client, self._room, reason, limit_s=limit_s)
        except TimeoutError:
            log.warning("leaving the room took too long", room=self._member.room)

    async def _published(self, limit_s: float) -> None:
        """Wait until nothing is being published: of half a track the SDK keeps everything."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), self._publishing:
                pass

    async def _write(self) -> None:
        while True:
            change = await self._changes.get()
            try:
                if self._room.isconnected():
                    await self._room.local_participant.set_attributes(change)
            finally:
                self._changes.task_done()

    def _on_disconnected(self, reason: DisconnectReason.ValueType) -> None:
        self._gone.set()
        if not self._left:
            self._hears.gone(reason)

    def _on_others(self, _: rtc.RemoteParticipant) -> None:
        self._hears.others()

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        owner: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._hears.track(publication.sid, track, owner.identity)

    def _on_track_ended(
        self, _: rtc.Track, publication: rtc.RemoteTrackPublication, __: rtc.RemoteParticipant
    ) -> None:
        self._hears.track_ended(publication.sid)

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if not self._left and leaving.is_request(packet):
            self._hears.gone(DisconnectReason.ROOM_DELETED)

    def _on_attributes(self, _: dict[str, str], who: rtc.Participant) -> None:
        if who.identity == self._member.identity:
            self._hears.shown(who.attributes)

    def _on_digits(self, event: rtc.SipDTMF) -> None:
        self._hears.digits(event.digit)
