"""A participant who watches a room: what joined, changed, left, was pressed, could be heard."""

from __future__ import annotations

import array
import asyncio
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from livekit import api, rtc

LIMIT = 5.0
RATE = 48000
HEARD_RATE = 16_000


@dataclass(frozen=True)
class Note:
    """One thing that happened in the room."""

    at: float
    what: str
    identity: str
    detail: dict[str, str]
    reason: int = 0


class Watcher:
    """Joins a room, keeps notes, can publish a tone."""

    def __init__(
        self,
        url: str,
        key: str,
        secret: str,
        room: str,
        kind: str = "standard",
        attributes: Mapping[str, str] | None = None,
    ):
        self.identity = f"watcher-{secrets.token_hex(3)}"
        self._url, self._key, self._secret, self._name = url, key, secret, room
        self._kind, self._shown_as = kind, dict(attributes or {})
        self.room = rtc.Room()
        self.notes: list[Note] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._source: rtc.AudioSource | None = None
        self.track_sid = ""
        self.peaks: list[tuple[float, int]] = []
        self.sound = b""  # the last second that was heard, 16 bit at HEARD_RATE
        self.room.on("participant_connected", self._joined)
        self.room.on("participant_disconnected", self._left)
        self.room.on("participant_attributes_changed", self._attributes)
        self.room.on("sip_dtmf_received", self._dtmf)
        self.room.on("track_subscribed", self._track)
        self.room.on("track_unpublished", self._track_off)

    async def join(self, options: rtc.RoomOptions = rtc.RoomOptions()) -> None:  # noqa: B008
        token = (
            api.AccessToken(self._key, self._secret)
            .with_identity(self.identity)
            .with_kind(self._kind)
            .with_attributes(self._shown_as)
            .with_grants(api.VideoGrants(room_join=True, room=self._name))
        )
        await self.room.connect(self._url, token.to_jwt(), options)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()

    async def publish(self, hertz: float = 440.0) -> None:
        """Publish a continuous tone."""
        source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("agent", source)
        published = await self.room.local_participant.publish_track(track)
        self.track_sid = published.sid
        self._source = source
        self._tasks.append(asyncio.create_task(self._play(source, hertz)))

    async def publish_silence(self, rate: int = RATE) -> None:
        """Publish a track that nothing is put into."""
        source = rtc.AudioSource(rate, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("agent", source)
        published = await self.room.local_participant.publish_track(track)
        self.track_sid = published.sid
        self._source = source

    async def _play(self, source: rtc.AudioSource, hertz: float) -> None:
        rate = source.sample_rate
        size, at = rate // 50, 0
        while True:
            step = 2 * math.pi * hertz / rate
            wave = array.array("h", (int(9000 * math.sin(step * (at + i))) for i in range(size)))
            at += size
            await source.capture_frame(rtc.AudioFrame(wave.tobytes(), rate, 1, size))

    async def until(self, test: Callable[[], bool], limit: float = LIMIT) -> None:
        """Wait until something holds that notes can change."""
        async with asyncio.timeout(limit):
            while not test():
                self._changed.clear()
                await self._changed.wait()

    def statuses(self, identity: str) -> list[str]:
        """The values sip.callStatus took, in order."""
        found: list[str] = []
        for note in self.notes:
            status = note.detail.get("sip.callStatus")
            if note.identity == identity and status and found[-1:] != [status]:
                found.append(status)
        return found

    def attributes(self, identity: str) -> dict[str, str]:
        """All attributes seen of a participant."""
        merged: dict[str, str] = {}
        for note in self.notes:
            if note.identity == identity and note.what in ("joined", "attributes"):
                merged |= note.detail
        return merged

    async def status(self, identity: str, wanted: str, limit: float = LIMIT) -> None:
        await self.until(lambda: wanted in self.statuses(identity), limit)

    async def gone(self, identity: str, limit: float = LIMIT) -> Note:
        """Wait until a participant has left."""

        def found() -> list[Note]:
            return [n for n in self.notes if n.what == "left" and n.identity == identity]

        await self.until(lambda: bool(found()), limit)
        return found()[0]

    async def silenced(self, identity: str, limit: float = LIMIT) -> None:
        """Wait until a participant has a track less."""
        await self.until(
            lambda: any(n.what == "track off" and n.identity == identity for n in self.notes), limit
        )

    async def pressed(self, count: int, limit: float = LIMIT) -> list[str]:
        def keys() -> list[str]:
            return [n.detail["digit"] for n in self.notes if n.what == "dtmf"]

        await self.until(lambda: len(keys()) >= count, limit)
        return keys()

    async def hears(self, peak: int = 3000, limit: float = LIMIT) -> float:
        """Wait for something loud from the phone; when it came."""
        start = len(self.peaks)
        await self.until(lambda: any(p >= peak for _, p in self.peaks[start:]), limit)
        return next(at for at, p in self.peaks[start:] if p >= peak)

    def _note(self, what: str, identity: str, detail: dict[str, str], reason: int = 0) -> None:
        self.notes.append(Note(time.monotonic(), what, identity, detail, reason))
        self._changed.set()

    def _joined(self, who: rtc.RemoteParticipant) -> None:
        self._note("joined", who.identity, {**who.attributes, "kind": str(who.kind)})

    def _left(self, who: rtc.RemoteParticipant) -> None:
        self._note("left", who.identity, {}, int(who.disconnect_reason or 0))

    def _attributes(self, changed: dict[str, str], who: rtc.Participant) -> None:
        self._note("attributes", who.identity, dict(changed))

    def _dtmf(self, event: rtc.SipDTMF) -> None:
        identity = event.participant.identity if event.participant else ""
        self._note("dtmf", identity, {"digit": event.digit, "code": str(event.code)})

    def _track(
        self, track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        self._note("track", who.identity, {"name": track.name})
        self._tasks.append(asyncio.create_task(self._listen(track)))

    def _track_off(self, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        self._note("track off", who.identity, {})

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=HEARD_RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                self.peaks.append((time.monotonic(), max(map(abs, event.frame.data))))
                self.sound = (self.sound + bytes(event.frame.data))[-2 * HEARD_RATE :]
                self._changed.set()
        finally:
            await stream.aclose()
