"""WebRTC's end of the agent's track."""

from __future__ import annotations

from livekit import rtc

from agent.frames import SAID_RATE
from agent.line_events import EVENTS

QUEUE_MS = 200
"""Speech handed to WebRTC ahead of time: this process may be that late, on a busy machine, unheard.
An interruption takes it back, so it costs no time there."""


class Outlet:
    """Plays what it is handed, mono int16 at `SAID_RATE`, and holds up to `QUEUE_MS` of it."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(SAID_RATE, 1, queue_size_ms=QUEUE_MS)
        self._plays_until = 0.0

    async def publish(self, room: rtc.Room) -> None:
        """Publish the agent's track in `room`."""
        track = rtc.LocalAudioTrack.create_audio_track("agent", self.source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False
        )
        await room.local_participant.publish_track(track, options)

    def full_for(self, now: float, milliseconds: int) -> float:
        """Return for how many seconds there is no room for so much; 0 or less: there is."""
        return self._plays_until - now - (QUEUE_MS - milliseconds) / 1000

    async def play(self, frame: rtc.AudioFrame, now: float) -> None:
        """Play `frame` after what is held; returns once it is held as well."""
        self._plays_until = max(now, self._plays_until) + frame.duration
        await EVENTS.capture(self.source, frame)

    def clear(self, now: float) -> None:
        """Play nothing of what is held."""
        self.source.clear_queue()
        self._plays_until = now

    async def aclose(self) -> None:
        """Free the track's source."""
        await self.source.aclose()
