"""Where the agent's sound leaves this process: the room's track, or the short way to the phone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from livekit import rtc

from agent.audio.events import EVENTS
from agent.audio.frames import FRAME_MS, SAID_RATE
from agent.audio.short_way import Way
from process.resampling import Resampler

QUEUE_MS = 200
"""Speech handed to WebRTC ahead of time: this process may be that late, on a busy machine, unheard.
An interruption takes it back, so it costs no time there."""
AHEAD_MS, REFILL_MS = 320, 220
"""The same by the short way, where it lies in the gateway: as much is handed over, and then none
until so little is left. That makes a fifth of the wake-ups, and 220 ms in which nobody hears that
this process is late; 100 ms were too few for a stall of 150 ms."""
ROOM_DELAY_S = 0.12
"""What is still on its way through WebRTC when its queue here is empty."""
SHORT_WAY_DELAY_S = 0.02
"""The same by the short way: the packet that is being filled."""

LISTENER_S = 2.0
"""So long a client may take to subscribe to the track before words are said all the same."""
LISTENER_BEGINS_S = 0.2
"""What a client has not heard that was sent so soon after it had subscribed: its decoder, or the
page's element, was not there yet. Seen: the first 0.1 s of a first word."""

RESTS_AFTER_S = 1.0
"""So long after the short way is taken what was on its way through the room has been heard."""


class AudioSource:
    """Plays what it is handed, mono int16 at `SAID_RATE`, and holds some of it."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(SAID_RATE, 1, queue_size_ms=QUEUE_MS)
        self.on_change: Callable[[], None] = lambda: None
        """Called when the way has changed, and with it what silence needs."""
        self._plays_until = 0.0
        self._way: Way | None = None
        self._by_room = True
        self._room_from = 0.0  # until then, what was said before plays by the short way
        self._resampler = Resampler(SAID_RATE, SAID_RATE)
        self._is_filling = True
        self._cleared = asyncio.Event()
        self._track: rtc.LocalAudioTrack | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._publication: rtc.LocalTrackPublication | None = None
        self._subscribed_at: float | None = None  # monotonic

    @property
    def is_silent_by_itself(self) -> bool:
        """Whether nothing need be handed over for silence."""
        return not self._by_room

    @property
    def delay_s(self) -> float:
        """How much later than it plays here a sound is on the wire."""
        return ROOM_DELAY_S if self._by_room else SHORT_WAY_DELAY_S

    @property
    def fades_by_itself(self) -> bool:
        """Whether `clear` breaks off without a click."""
        return not self._by_room

    @property
    def sid(self) -> str:
        """The server's id of the track; empty while there is none."""
        return self._publication.sid if self._publication is not None else ""

    async def publish(self, room: rtc.Room, name: str = "agent") -> None:
        """Publish the agent's track in `room`."""
        track = rtc.LocalAudioTrack.create_audio_track(name, self.source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False
        )
        room.on("local_track_subscribed", self._on_subscribed)
        self._publication = await room.local_participant.publish_track(track, options)
        self._track = track
        if not self._by_room:
            self._rest_soon()

    async def wait_listened_to(self) -> None:
        """Return once somebody hears what is said from its first sound on, or nobody listens."""
        if self._publication is None or not self._by_room:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTENER_S):
                await self._publication.wait_for_subscription()
        if self._subscribed_at is not None:
            await asyncio.sleep(self._subscribed_at + LISTENER_BEGINS_S - time.monotonic())

    def set_short_way(self, way: Way) -> None:
        """Hand what is said to the gateway from now on."""
        self._way = way
        self._resampler = Resampler(SAID_RATE, way.rate)
        self.use_short_way()

    def use_room(self) -> None:
        """Put what is said into the track, after what the gateway still plays."""
        if not self._by_room:
            self._by_room = True
            self._room_from = self._plays_until
            self._stop_resting()
            if self._track is not None:
                self._track.unmute()
            self.on_change()

    def use_short_way(self) -> None:
        """Hand what is said to the gateway, after what is on its way through the room."""
        if self._by_room and self._way is not None:
            self._by_room = False
            self._plays_until += ROOM_DELAY_S
            self._resampler.reset()
            self._rest_soon()
            self.on_change()

    def _rest_soon(self) -> None:
        self._stop_resting()
        loop = asyncio.get_running_loop()
        self._resting = loop.call_later(RESTS_AFTER_S, self._rest)

    def _rest(self) -> None:
        """Have the server forward no silence, which the gateway would decode."""
        if self._track is not None:
            self._track.mute()

    def _stop_resting(self) -> None:
        if self._resting is not None:
            self._resting.cancel()

    def full_for(self, now: float, milliseconds: int) -> float:
        """Return for how many seconds there is no room for so much; 0 or less: there is."""
        held = self._plays_until - now
        if self._by_room:
            return held - (QUEUE_MS - milliseconds) / 1000
        if self._is_filling:
            self._is_filling = held <= (AHEAD_MS - milliseconds) / 1000
        else:
            self._is_filling = held <= REFILL_MS / 1000
        return 0.0 if self._is_filling else held - REFILL_MS / 1000

    async def play(self, frame: rtc.AudioFrame, now: float) -> None:
        """Play `frame` after what is held; returns once it is held as well."""
        starts_at = max(now, self._plays_until)
        self._plays_until = starts_at + frame.duration
        if not self._by_room and self._way is not None:
            self._way.say(self._resampler.of(bytes(frame.data)), starts_at)
            if (full_s := self.full_for(now, FRAME_MS)) > 0:
                await self._unless_cleared(full_s)
                self._is_filling = True
            return
        if self._room_from > now:
            await self._unless_cleared(self._room_from - now)
        await EVENTS.capture(self.source, frame)

    def clear(self, now: float) -> None:
        """Play nothing of what is held."""
        self.source.clear_queue()
        if self._way is not None and now < max(self._room_from, self._plays_until):
            self._way.clear()
            self._resampler.reset()
        self._room_from = 0.0
        self._plays_until = now
        self._is_filling = True
        self._cleared.set()

    async def aclose(self) -> None:
        """Free the track's source."""
        self._publication = None
        self._stop_resting()
        await self.source.aclose()

    def _on_subscribed(self, _: rtc.Track) -> None:
        self._subscribed_at = time.monotonic()

    async def _unless_cleared(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self._cleared.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cleared.wait()
