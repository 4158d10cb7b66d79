"""What a listener to the agent's track hears of its sounds: no gap, no jump, nothing late."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
from livekit import rtc

from agent.audio.frames import FRAME_MS, SAID_RATE
from agent.audio.mixing import Loop
from agent.audio.output import AudioOutput

pytestmark = pytest.mark.unit

WORDS = 15_000
SLOPE = np.arange(-5_000, 5_000, dtype=np.int16)
"""A clip whose every sample tells its place, however many words are added to it."""
TICK = SAID_RATE // 100


class Listener:
    """A line, and everything that its track carries."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, float]] = []
        self.cuts: list[float] = []
        self.line = AudioOutput(lambda data, at: self.said.append((data, at)), self._cut)
        track = rtc.LocalAudioTrack.create_audio_track("agent", self.line.source.source)
        self._stream = rtc.AudioStream(
            track, sample_rate=SAID_RATE, num_channels=1, frame_size_ms=10
        )
        self._frames: list[npt.NDArray[np.int16]] = []
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self.line.start()

    async def _read(self) -> None:
        async for event in self._stream:
            self._frames.append(np.frombuffer(bytes(event.frame.data), dtype=np.int16))
            self._more.set()

    def _cut(self, cut: float) -> None:
        self.cuts.append(cut)
        self.said = [(data, at) for data, at in self.said if at + FRAME_MS / 1000 <= cut]

    @property
    def heard(self) -> npt.NDArray[np.int16]:
        return np.concatenate([np.zeros(0, dtype=np.int16), *self._frames])

    async def until(self, sample: int, count: int = 1) -> None:
        """Wait until `count` samples of this much or more were heard."""
        async with asyncio.timeout(10):
            while np.count_nonzero(self.heard >= sample) < count:
                self._more.clear()
                await self._more.wait()

    async def stay(self, seconds: float) -> None:
        """Hear this much more."""
        frames = len(self._frames) + round(seconds * 100)
        async with asyncio.timeout(10):
            while len(self._frames) < frames:
                self._more.clear()
                await self._more.wait()

    async def say(self, seconds: float) -> None:
        samples = int(SAID_RATE * seconds)
        data = np.full(samples, WORDS, dtype=np.int16).tobytes()
        await self.line.capture_frame(rtc.AudioFrame(data, SAID_RATE, 1, samples))

    async def aclose(self) -> None:
        await self.line.aclose()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        await self._stream.aclose()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    yield made
    await made.aclose()


def jumps(heard: npt.NDArray[np.int16]) -> list[int]:
    """Return by how many samples the slope moves where it should go on."""
    # Before it began there was silence.
    sounding = heard[int(np.argmax(heard != 0)) :].astype(np.int64)
    place = np.where(sounding >= WORDS - 5_000, sounding - WORDS, sounding)
    steps = np.mod(np.diff(place) - 1 + 5_000, 10_000) - 5_000
    return [int(step) for step in steps if step]


async def test_the_background_goes_on_where_it_was_when_words_begin_and_end(
    listener: Listener,
) -> None:
    listener.line.play(Loop(SLOPE, 1.0, under_words=True))
    await listener.stay(0.5)
    for word in range(1, 5):
        await listener.say(0.2)
        listener.line.flush()
        await listener.until(WORDS - 5_000, word * SAID_RATE // 5)
        await listener.stay(0.1)
    # What waited for its turn, a fifth of a second, is not lost: at most the ticks of a busy
    # machine are.
    assert all(abs(step) <= 3 * TICK for step in jumps(listener.heard)), jumps(listener.heard)
    assert len(listener.cuts) == 4


async def test_an_interruption_leaves_the_background_running(listener: Listener) -> None:
    listener.line.play(Loop(SLOPE, 1.0, under_words=True))
    await listener.say(3.0)
    await listener.until(WORDS - 5_000)
    listener.line.clear_buffer()
    words = np.count_nonzero(listener.heard >= WORDS - 5_000)
    await listener.stay(0.5)
    after = listener.heard[-SAID_RATE // 4 :]
    assert after.max() < 5_000
    assert np.count_nonzero(after) > 0.9 * len(after)
    assert np.count_nonzero(listener.heard >= WORDS - 5_000) - words < SAID_RATE // 5


async def test_paused_words_leave_the_background_running(listener: Listener) -> None:
    listener.line.play(Loop(SLOPE, 1.0, under_words=True))
    await listener.say(3.0)
    await listener.until(WORDS - 5_000)
    listener.line.pause()
    await listener.stay(0.6)
    after = listener.heard[-SAID_RATE // 10 :]
    assert after.max() < 5_000
    assert np.count_nonzero(after) > 0.9 * len(after)
    spoken = np.count_nonzero(listener.heard >= WORDS - 5_000)
    listener.line.resume()
    await listener.until(WORDS - 5_000, spoken + SAID_RATE // 2)


async def test_a_sound_for_silence_ends_with_the_first_word(listener: Listener) -> None:
    listener.line.play(Loop(np.full(100, 3_000, dtype=np.int16), 1.0, under_words=False))
    await listener.until(3_000, SAID_RATE // 10)
    await listener.say(0.3)
    listener.line.flush()
    await listener.until(WORDS, int(SAID_RATE * 0.3))
    await listener.stay(0.3)
    heard = listener.heard
    first = int(np.argmax(heard >= WORDS))
    assert set(heard[first:].tolist()) <= {WORDS, 0}


async def test_a_sound_that_is_stopped_ends_at_once(listener: Listener) -> None:
    loop = Loop(np.full(100, 3_000, dtype=np.int16), 1.0, under_words=False)
    listener.line.play(loop)
    await listener.until(3_000, SAID_RATE // 2)
    listener.line.stop(loop)
    before = np.count_nonzero(listener.heard)
    await listener.stay(0.3)
    # What is under way to the listener, and no more: a fifth of a second had been handed over.
    assert np.count_nonzero(listener.heard) - before < SAID_RATE * 0.12
    assert listener.heard[-1] == 0


@pytest.mark.parametrize("with_background", [False, True])
async def test_words_do_not_wait_for_what_fills_the_line(
    listener: Listener, with_background: bool
) -> None:
    if with_background:
        listener.line.play(Loop(SLOPE, 1.0, under_words=True))
    began = asyncio.Event()
    listener.line.on("playback_started", lambda _: began.set())
    waits = []
    for word in range(1, 10):
        await listener.stay(0.1 + word * 0.013)  # at any moment of a silence's tenth of a second
        began.clear()
        asked = time.monotonic()
        await listener.say(0.1)
        listener.line.flush()
        await asyncio.wait_for(began.wait(), 5.0)
        waits.append(time.monotonic() - asked)
        await listener.until(WORDS - 5_000, word * SAID_RATE // 10)
    assert statistics.median(waits) < 0.03


async def test_what_is_reported_as_said_is_what_was_heard(listener: Listener) -> None:
    """The recording is made of it."""
    listener.line.play(Loop(SLOPE, 1.0, under_words=True))
    await listener.stay(0.3)
    await listener.say(0.2)
    listener.line.flush()
    await listener.until(WORDS - 5_000, SAID_RATE // 5)
    size = SAID_RATE * FRAME_MS // 1000
    assert {len(data) for data, _ in listener.said} == {2 * size}
    told = np.frombuffer(b"".join(data for data, _ in listener.said), dtype=np.int16)
    words_told = np.count_nonzero(told >= WORDS - 5_000)
    assert words_told == SAID_RATE // 5
    assert all(abs(step) <= 4 * TICK for step in jumps(told)), jumps(told)
