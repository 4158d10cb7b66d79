"""The agent's ends of the telephone line: what it hears (`LineIn`), what it says (`LineOut`).

They take the place of LiveKit's room audio so that the recording knows exactly what was heard and
sent, and so that an interruption takes back what WebRTC has not played yet.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io

from agent.mixing import Loop, Mixer

HEARD_RATE = 16_000
"""Hz of the caller's audio: what voice activity detection and the recogniser work at."""
SAID_RATE = 24_000
"""Hz of the agent's audio: what the voices speak at."""
FRAME_MS = 20
QUEUE_MS = 200
"""Speech handed to WebRTC ahead of time: this process may be that late, on a busy machine, unheard.
An interruption takes it back, so it costs no time there."""


class LineIn(io.AudioInput):
    """The caller's audio, mono int16 at `HEARD_RATE` in frames of `FRAME_MS`.

    Args:
        on_heard: called with each frame's samples as it arrives.
    """

    def __init__(self, on_heard: Callable[[bytes], None]) -> None:
        super().__init__(label="line")
        self._on_heard = on_heard
        # A session that stops listening must not make a call grow: 5 s, then the oldest goes.
        self._frames: deque[rtc.AudioFrame] = deque(maxlen=5_000 // FRAME_MS)
        self._arrived = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def connect(self, track: rtc.Track) -> None:
        """Listen to `track` from now on, and to nothing else."""
        if self._pump is not None:
            self._pump.cancel()
        self._pump = asyncio.create_task(self._read(track), name="line in")

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._frames:
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    async def aclose(self) -> None:
        """Stop listening."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=HEARD_RATE, num_channels=1, frame_size_ms=FRAME_MS
        )
        try:
            async for event in stream:
                self._on_heard(bytes(event.frame.data))
                self._frames.append(event.frame)
                self._arrived.set()
        finally:
            await stream.aclose()


class _Segment:
    """What the session hands over between two flushes; it is told once how much was heard."""

    def __init__(self) -> None:
        self.sent_s = 0.0


class LineOut(io.AudioOutput):
    """The agent's speech, mono int16 at `SAID_RATE`, sent to a room track in real time.

    The track never pauses: between two segments it carries silence. A track that pauses makes the
    far end's jitter buffer start over at every sentence, late first and then squeezed to catch up.
    Sounds that play beside the speech are mixed in here: whoever hears the track hears them.

    Args:
        on_said: called with the samples handed to the line, sounds and all, and the time (s since
            the epoch) at which their first one plays; not called for silence.
        on_cut: called with the time after which nothing of what was handed over plays.
    """

    def __init__(
        self, on_said: Callable[[bytes, float], None], on_cut: Callable[[float], None]
    ) -> None:
        super().__init__(
            label="line",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=SAID_RATE,
        )
        self._on_said = on_said
        self._on_cut = on_cut
        self._source = rtc.AudioSource(SAID_RATE, 1, queue_size_ms=QUEUE_MS)
        self._waiting: deque[tuple[_Segment, rtc.AudioFrame | None]] = deque()  # None: its end
        self._may_play = True
        self._open: _Segment | None = None  # being captured
        self._unfinished: list[_Segment] = []  # in order; the session has not been told their end
        self._speech_until = 0.0  # when the last sample of speech handed over plays
        self._sound_until = 0.0  # the same of anything but silence
        self._handed = 0  # samples in a row up to then
        self._mixer = Mixer()
        self._outdated = False  # what fills the line without speech is not what should
        self._pump: asyncio.Task[None] | None = None

    async def publish(self, room: rtc.Room) -> None:
        """Publish the agent's track in `room`; silence until something is said."""
        track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False
        )
        await room.local_participant.publish_track(track, options)
        self.start()

    def start(self) -> None:
        """Begin to play."""
        self._pump = asyncio.create_task(self._play(), name="line out")

    def play(self, loop: Loop) -> None:
        """Let `loop` be heard from now on, from its start."""
        self._mixer.add(loop)
        self._refill()

    def stop(self, loop: Loop) -> None:
        """Let `loop` be heard no more, from now on."""
        if self._mixer.remove(loop):
            self._refill()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._may_play and not self._waiting:
            self._end_silence()
        if self._open is None:
            self._open = _Segment()
            self._unfinished.append(self._open)
        size = SAID_RATE * FRAME_MS // 1000 * 2
        data = bytes(frame.data)
        for start in range(0, len(data), size):
            self._waiting.append((self._open, _frame(data[start : start + size])))

    def flush(self) -> None:
        super().flush()
        if self._open is not None:
            self._waiting.append((self._open, None))
            self._open = None

    def clear_buffer(self) -> None:
        """Fall silent: drop what waits and what WebRTC has not played."""
        if not self._unfinished:
            return
        now = time.time()
        unplayed_s = max(0.0, self._speech_until - now)
        self._waiting.clear()
        self._take_back(now)
        self._speech_until = now
        self._open = None
        cut, self._unfinished = self._unfinished, []
        for segment in cut:
            heard_s = max(0.0, segment.sent_s - unplayed_s)
            self.on_playback_finished(playback_position=heard_s, interrupted=True)

    def pause(self) -> None:
        super().pause()
        self._may_play = False

    def resume(self) -> None:
        super().resume()
        self._may_play = True
        if self._waiting:
            self._end_silence()

    async def aclose(self) -> None:
        """Stop playing and free the track's source."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await self._source.aclose()

    async def _play(self) -> None:
        """Hand over speech or silence; the source waits while it holds QUEUE_MS: real time."""
        while True:
            if not self._waiting or not self._may_play:
                await self._fill()
                continue
            segment, frame = self._waiting.popleft()
            if frame is None:
                left_s = max(0.0, self._speech_until - time.time())
                asyncio.get_running_loop().call_later(left_s, self._heard, segment)
                continue
            await self._say(segment, frame)

    async def _fill(self) -> None:
        """Hand over what is heard without speech: the sounds, or silence."""
        now = time.time()
        if self._outdated and self._speech_until <= now:
            self._take_back(now)
        self._outdated = False
        if self._mixer.audible:
            samples = self._mixer.next(SAID_RATE * FRAME_MS // 1000)
            await self._hand_over(samples, now)
        else:
            await self._source.capture_frame(_SILENCE)

    async def _say(self, segment: _Segment, frame: rtc.AudioFrame) -> None:
        now = time.time()
        if self._speech_until <= now:
            self._take_back(now)  # silence or sounds, which must not delay the word
        starts_at = max(now, self._sound_until)
        if not segment.sent_s:
            self.on_playback_started(created_at=starts_at)
        segment.sent_s += frame.duration
        self._speech_until = starts_at + frame.duration
        await self._hand_over(self._mixer.beside(bytes(frame.data)), now)

    async def _hand_over(self, samples: bytes, now: float) -> None:
        starts_at = max(now, self._sound_until)
        self._on_said(samples, starts_at)
        frame = _frame(samples)
        self._handed = frame.samples_per_channel + (self._handed if starts_at > now else 0)
        self._sound_until = starts_at + frame.duration
        await self._source.capture_frame(frame)

    def _refill(self) -> None:
        self._outdated = True
        self._end_silence()

    def _end_silence(self) -> None:
        """Wake the pump, which may wait for silence to play; sounds keep it a frame at most."""
        if self._sound_until <= time.time():
            self._source.clear_queue()

    def _take_back(self, now: float) -> None:
        """Drop what WebRTC has not played; the sounds go on where they were heard last."""
        self._source.clear_queue()
        if self._sound_until > now:
            heard = self._handed - (self._sound_until - now) * SAID_RATE
            heard = min(self._handed, _TAKEN * round(heard / _TAKEN))
            self._mixer.take_back(self._handed - heard)
            self._sound_until = now
            self._on_cut(now)

    def _heard(self, segment: _Segment) -> None:
        if segment in self._unfinished:
            self._unfinished.remove(segment)
            self.on_playback_finished(playback_position=segment.sent_s, interrupted=False)


def _frame(samples: bytes) -> rtc.AudioFrame:
    return rtc.AudioFrame(
        data=samples,
        sample_rate=SAID_RATE,
        num_channels=1,
        samples_per_channel=len(samples) // 2,
    )


_TAKEN = SAID_RATE // 100  # samples: WebRTC takes ten milliseconds at a time
# Longer than a frame: every hand-over wakes each room of the process, and speech drops it anyway.
_SILENCE = _frame(bytes(SAID_RATE // 10 * 2))
