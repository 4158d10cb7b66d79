"""Each call hears and hands over for itself, though all share the SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit import rtc
from livekit.rtc._ffi_client import FfiHandle

from agent.audio.events import EVENTS
from agent.audio.frames import SAID_RATE, frame_of

pytestmark = pytest.mark.unit

FRAME_MS = 20


class Side:
    """A track that always carries one value, and what is heard of it."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.heard: list[set[int]] = []
        self._came = asyncio.Event()
        self._source = rtc.AudioSource(SAID_RATE, 1, queue_size_ms=200)
        self.track = rtc.LocalAudioTrack.create_audio_track("side", self._source)
        samples = np.full(SAID_RATE * FRAME_MS // 1000, value, dtype=np.int16).tobytes()
        self._frame = frame_of(samples)
        self._saying = asyncio.create_task(self._say())

    def listen(self) -> FfiHandle:
        return EVENTS.listen(self.track, rate=SAID_RATE, frame_ms=FRAME_MS, heard=self._take)

    def _take(self, samples: bytes) -> None:
        self.heard.append({int(each) for each in np.frombuffer(samples, dtype=np.int16)})
        self._came.set()

    async def hears(self, frames: int) -> None:
        """Wait for so many more frames that carry its value."""
        wanted = len([each for each in self.heard if self.value in each]) + frames
        async with asyncio.timeout(10.0):
            while len([each for each in self.heard if self.value in each]) < wanted:
                self._came.clear()
                await self._came.wait()

    async def _say(self) -> None:
        while True:
            await EVENTS.capture(self._source, self._frame)

    async def aclose(self) -> None:
        self._saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._saying
        await self._source.aclose()


@pytest.fixture
async def sides() -> AsyncIterator[tuple[Side, Side]]:
    made = (Side(1_000), Side(2_000))
    yield made
    for side in made:
        await side.aclose()


async def test_two_calls_hear_each_its_own(sides: tuple[Side, Side]) -> None:
    streams = [side.listen() for side in sides]
    await asyncio.gather(*(side.hears(20) for side in sides))
    for side in sides:
        assert set().union(*side.heard) <= {0, side.value}
    for stream in streams:
        EVENTS.end(stream)


async def test_a_stream_that_ended_is_heard_no_more(sides: tuple[Side, Side]) -> None:
    first, second = sides
    stream, other = first.listen(), second.listen()
    await first.hears(3)
    EVENTS.end(stream)
    await asyncio.sleep(0)  # what was on its way into the loop
    frames = len(first.heard)
    await second.hears(10)
    assert len(first.heard) - frames <= 1
    EVENTS.end(other)


async def test_others_may_listen_by_the_sdk(sides: tuple[Side, Side]) -> None:
    mine = sides[0].listen()
    stream = rtc.AudioStream(sides[1].track, sample_rate=SAID_RATE, num_channels=1)
    async with asyncio.timeout(10.0):
        async for event in stream:
            if 2_000 in event.frame.data:
                break
    await sides[0].hears(1)
    await stream.aclose()
    EVENTS.end(mine)


async def test_a_frame_that_the_sdk_refuses_is_an_error() -> None:
    source = rtc.AudioSource(SAID_RATE, 1, queue_size_ms=200)
    with pytest.raises(RuntimeError, match="sample_rate"):
        await EVENTS.capture(source, rtc.AudioFrame(bytes(320), 8_000, 1, 160))
    await source.aclose()
