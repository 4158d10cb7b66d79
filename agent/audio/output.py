"""What the agent says into the telephone line, through the room or by the short way.

It takes the place of LiveKit's room output so that the recording knows exactly what was sent, and
so that an interruption takes back what has not been played yet.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from livekit import rtc
from livekit.agents.voice import io

from agent.audio.frames import FRAME_MS, SAID_RATE, at_said_rate, frame_of, is_audible, split
from agent.audio.mixing import FADE_MS, Loop, Mixer, fade_out
from agent.audio.source import AudioSource
from agent.playout_transcript import PlayoutTranscript, Segment
from process.logs import get_logger

log = get_logger(__name__)

_Piece = tuple[Segment, rtc.AudioFrame | None]  # None: the segment's end


class AudioOutput(io.AudioOutput):
    """The agent's speech, mono int16 at `SAID_RATE`, sent in real time.

    A room's track never pauses: between two segments it carries silence. One that pauses makes the
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
        self.source = AudioSource()
        self.source.on_change = self._refill
        self.transcript = PlayoutTranscript()
        """Is told the words; tells how many of them were heard."""
        self._waiting: deque[_Piece] = deque()
        self._sent: deque[tuple[Segment, rtc.AudioFrame, float]] = deque()  # and when it plays
        self._may_play = True
        self._open: Segment | None = None  # being captured
        self._unfinished: list[Segment] = []  # in order; the session has not been told their end
        self._speech_until = 0.0  # when the last sample of speech handed over plays
        self._words_until = 0.0  # the same without asides
        self._sound_until = 0.0  # the same of anything but silence
        self._handed = 0  # samples in a row up to then
        self._mixer = Mixer()
        self._fading = b""  # the last of what was broken off; plays before anything else
        self._is_over = False  # nothing follows what waits
        self._outdated = False  # what fills the line without speech is not what should
        self._wanted = asyncio.Event()  # something else is to be heard than what fills the line
        self._pump: asyncio.Task[None] | None = None

    async def publish(self, room: rtc.Room, name: str = "agent") -> None:
        """Publish the agent's track in `room`; silence until something is said."""
        await self.source.publish(room, name)
        self.start()

    async def wait_listened_to(self) -> None:
        """Return once somebody hears what is said from its first sound on, or nobody listens."""
        await self.source.wait_listened_to()

    def start(self) -> None:
        """Begin to play."""
        self._pump = asyncio.create_task(self._play(), name="line out")
        self._pump.add_done_callback(_fell_silent)

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
            self._wanted.set()
        if self._open is None:
            self._open = Segment()
            self._unfinished.append(self._open)
        self._open.given_s += frame.duration
        if not self._is_over:
            self._waiting.extend((self._open, piece) for piece in split(bytes(frame.data)))

    def aside(self, frames: Iterable[rtc.AudioFrame]) -> None:
        """Say something that is no part of the session's speech, as soon as nothing else is."""
        if self._is_over:
            return
        segment = Segment()
        for data in at_said_rate(frames):
            self._waiting.extend((segment, frame) for frame in split(data))
        self._wanted.set()

    def farewell(self, frames: Iterable[rtc.AudioFrame]) -> float:
        """Say this at once, and nothing after it; returns how long it is (s)."""
        self.clear_buffer()
        self._waiting.clear()
        self._may_play = True
        self.aside(frames)
        self._is_over = True
        return sum(piece.duration for _, piece in self._waiting if piece is not None)

    @property
    def silent_since(self) -> float:
        """When the last word handed over was heard (s since the epoch); perhaps still to come."""
        return self._speech_until

    @property
    def words_until(self) -> float:
        """The same of the session's words alone, without asides."""
        return self._words_until

    @property
    def is_thinking_aloud(self) -> bool:
        """Whether a sound plays that ends with the next word."""
        return self._mixer.ends_with_words

    @property
    def is_paused(self) -> bool:
        """Whether the session has paused its words."""
        return not self._may_play

    @property
    def is_speaking(self) -> bool:
        """Whether words of the session were begun and not all heard; true while it pauses."""
        return any(segment.has_begun for segment in self._unfinished)

    def _mark_input_truncated(self) -> None:
        if self._open is not None:
            self._open.has_failed = True

    def flush(self) -> None:
        super().flush()
        if self._open is not None:
            self._waiting.append((self._open, None))
            self._wanted.set()
            self._open.is_whole = not self._open.has_failed
            self._open = None

    def clear_buffer(self) -> None:
        """Fall silent: drop what waits and what WebRTC has not played."""
        if not self._unfinished:
            return
        now = time.time()
        unplayed_s = max(0.0, self._speech_until - now)
        if not self._is_over:
            self._waiting.clear()
            self._fade(now)
            self._speech_until = now
            self._sent.clear()
        self._open = None
        cut, self._unfinished = self._unfinished, []
        for segment in cut:
            self._finished(segment, max(0.0, segment.sent_s - unplayed_s), interrupted=True)

    def pause(self) -> None:
        """Fall silent at once; what was not heard comes again with `resume`, asides do not."""
        super().pause()
        if self._is_over:
            return
        self._may_play = False
        now = time.time()
        unheard = [(s, frame) for s, frame, at in self._sent if at + frame.duration / 2 > now]
        self._waiting = deque(each for each in self._waiting if each[0] in self._unfinished)
        if unheard:
            self._fade(now)
        self._sent.clear()
        if not unheard:
            return
        self._speech_until = now
        again: list[_Piece] = []
        for segment, frame in unheard:
            segment.sent_s -= frame.duration
            if segment in self._unfinished:
                again.append((segment, frame))
        for segment in {each for each, _ in again if each.end is not None}:
            assert segment.end is not None
            segment.end.cancel()
            segment.end = None
            last = max(n for n, piece in enumerate(again) if piece[0] is segment)
            again.insert(last + 1, (segment, None))
        self._waiting.extendleft(reversed(again))

    def resume(self) -> None:
        super().resume()
        self._may_play = True
        if self._waiting:
            self._wanted.set()

    async def wait_played(self) -> None:
        """Return once the silence after the last word has been played, too."""
        await asyncio.sleep(self._speech_until - time.time())

    async def aclose(self) -> None:
        """Stop playing and free the track's source."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await self.source.aclose()

    async def _play(self) -> None:
        """Hand over speech or silence; the source waits while it is full: real time."""
        while True:
            if self._fading:
                samples, self._fading = self._mixer.beside(self._fading), b""
                await self._hand_over(samples, time.time())
                continue
            if not self._waiting or not self._may_play:
                await self._fill()
                continue
            segment, frame = self._waiting.popleft()
            if frame is None:
                left_s = max(0.0, self._heard_at(segment) - time.time())
                loop = asyncio.get_running_loop()
                segment.end = loop.call_later(left_s, self._heard, segment)
                continue
            await self._say(segment, frame)

    async def _fill(self) -> None:
        """Hand over what is heard without speech, the sounds or silence, as far as there is room.

        It waits for room here and not in the source, which tells of it at its next beat only.
        """
        now = time.time()
        if self._outdated and self._speech_until <= now:
            self._take_back(now)
        self._outdated = False
        if self.source.is_silent_by_itself and not self._mixer.audible:
            await self._wanted.wait()
            self._wanted.clear()
            return
        piece_ms = FRAME_MS if self._mixer.audible else _SILENCE_MS
        full_s = self.source.full_for(now, piece_ms)
        if full_s > 0.0:
            with suppress(TimeoutError):
                async with asyncio.timeout(full_s):
                    await self._wanted.wait()
            self._wanted.clear()
        elif self._mixer.audible:
            samples = self._mixer.next(SAID_RATE * FRAME_MS // 1000)
            await self._hand_over(samples, now)
        else:
            await self.source.play(_SILENCE, now)

    async def _say(self, segment: Segment, frame: rtc.AudioFrame) -> None:
        now = time.time()
        if self._speech_until <= now:
            self._take_back(now)  # silence or sounds, which must not delay the word
        starts_at = max(now, self._sound_until)
        if not segment.has_begun and segment in self._unfinished:
            self.on_playback_started(created_at=starts_at)
        segment.has_begun = True
        segment.sent_s += frame.duration
        while self._sent and self._sent[0][2] + self._sent[0][1].duration < now:
            self._sent.popleft()
        self._sent.append((segment, frame, starts_at))
        self._speech_until = starts_at + frame.duration
        if segment in self._unfinished:
            self._words_until = self._speech_until
        await self._hand_over(self._mixer.beside(bytes(frame.data)), now)

    async def _hand_over(self, samples: bytes, now: float) -> None:
        starts_at = max(now, self._sound_until)
        self._on_said(samples, starts_at)
        frame = frame_of(samples)
        self._handed = frame.samples_per_channel + (self._handed if starts_at > now else 0)
        self._sound_until = starts_at + frame.duration
        await self.source.play(frame, now)

    def _refill(self) -> None:
        self._outdated = True
        self._wanted.set()

    def _fade(self, now: float) -> None:
        """Break off what is said: what would be heard next fades, the rest is dropped."""
        coming = b"".join(
            bytes(frame.data)[2 * max(0, round((now - at) * SAID_RATE)) :]
            for _, frame, at in self._sent
            if at + frame.duration > now
        )
        fades_by_itself = self.source.fades_by_itself
        self._take_back(now)
        if not fades_by_itself:
            self._fading = fade_out(coming[: SAID_RATE * FADE_MS // 1000 * 2])
        self._wanted.set()

    def _take_back(self, now: float) -> None:
        """Drop what WebRTC has not played; the sounds go on where they were heard last."""
        self.source.clear(now)
        if self._sound_until > now:
            heard = self._handed - (self._sound_until - now) * SAID_RATE
            heard = min(self._handed, _TAKEN * round(heard / _TAKEN))
            self._mixer.take_back(self._handed - heard)
            self._sound_until = now
            self._on_cut(now)

    def _heard_at(self, segment: Segment) -> float:
        """Return when its last sound has been heard: voices add a fifth of a second of silence."""
        sounds = (
            at + frame.duration
            for each, frame, at in reversed(self._sent)
            if each is segment and is_audible(frame)
        )
        return min(self._speech_until, next(sounds, 0.0) + self.source.delay_s)

    def _heard(self, segment: Segment) -> None:
        if segment in self._unfinished:
            self._unfinished.remove(segment)
            self._finished(segment, segment.sent_s, interrupted=False)

    def _finished(self, segment: Segment, heard_s: float, *, interrupted: bool) -> None:
        self.on_playback_finished(
            playback_position=heard_s,
            interrupted=interrupted,
            synchronized_transcript=self.transcript.heard_of(
                segment, heard_s, broken_off=interrupted
            ),
        )


def _fell_silent(pump: asyncio.Task[None]) -> None:
    if not pump.cancelled() and (problem := pump.exception()) is not None:
        log.error("the agent's line fell silent", error=problem)


_TAKEN = SAID_RATE // 100  # samples: WebRTC takes ten milliseconds at a time
# Longer than a frame, for fewer wake-ups: speech drops it anyway.
_SILENCE_MS = 100
_SILENCE = frame_of(bytes(SAID_RATE * _SILENCE_MS // 1000 * 2))
