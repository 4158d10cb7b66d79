"""The agent's mouth: segments end once, an interruption takes back what was not played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from agent.audio.frames import SAID_RATE
from agent.audio.mixing import FADE_MS
from agent.audio.output import AudioOutput

pytestmark = pytest.mark.unit

FADE = SAID_RATE * FADE_MS // 1000 * 2  # bytes
SOUND, SILENCE = b"\x00\x10", b"\x40\x00"  # a sample of each; no silence is quite one


class Mouth:
    """A line without a room, and what it reported."""

    def __init__(self) -> None:
        self.said: list[tuple[int, float]] = []  # bytes, when they play
        self.cuts: list[float] = []
        self.finished: list[PlaybackFinishedEvent] = []
        self.done = asyncio.Event()
        self.began = asyncio.Event()
        self.line = AudioOutput(
            lambda data, at: self.said.append((len(data), at)), self.cuts.append
        )
        self.line.on("playback_finished", self._on_finished)
        self.line.on("playback_started", lambda _: self.began.set())
        self.line.start()

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        self.finished.append(event)
        self.done.set()

    async def speak(self, seconds: float, sample: bytes = SOUND) -> None:
        samples = int(seconds * SAID_RATE)
        await self.line.capture_frame(rtc.AudioFrame(sample * samples, SAID_RATE, 1, samples))


@pytest.fixture
async def mouth() -> AsyncIterator[Mouth]:
    made = Mouth()
    yield made
    await made.line.aclose()


async def test_a_segment_that_was_heard_ends_once_with_its_length(mouth: Mouth) -> None:
    await mouth.speak(0.3)
    mouth.line.flush()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert [(event.interrupted, round(event.playback_position, 3)) for event in mouth.finished] == [
        (False, 0.3)
    ]
    assert sum(size for size, _ in mouth.said) == int(0.3 * SAID_RATE) * 2
    assert mouth.cuts == []


async def test_it_was_heard_once_its_last_sound_was(mouth: Mouth) -> None:
    await mouth.speak(0.2)
    await mouth.speak(0.3, SILENCE)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    ends = mouth.said[0][1] + 0.5
    over = asyncio.create_task(asyncio.sleep(ends - time.time()))
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert time.time() >= mouth.said[0][1] + 0.2
    assert not over.done(), "it waited for the silence"
    assert not mouth.line.is_speaking
    await mouth.speak(0.1)
    mouth.line.flush()
    await mouth.line.wait_played()
    assert time.time() >= ends, "the silence is played all the same"
    mouth.done.clear()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert [event.interrupted for event in mouth.finished] == [False, False]


async def test_what_is_said_follows_itself_without_a_gap(mouth: Mouth) -> None:
    await mouth.speak(0.2)
    mouth.line.flush()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    starts = [at for _, at in mouth.said]
    assert starts == sorted(starts)


async def test_an_interruption_takes_back_what_waits(mouth: Mouth) -> None:
    await mouth.speak(3.0)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    mouth.line.clear_buffer()
    (event,) = mouth.finished
    assert event.interrupted
    assert event.playback_position < 1.0
    assert len(mouth.cuts) == 1


async def test_an_interruption_leaves_the_words_that_were_heard(mouth: Mouth) -> None:
    await mouth.line.transcript.capture_text("one two three four five six seven eight nine ten")
    await mouth.speak(3.0)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    mouth.line.clear_buffer()
    (event,) = mouth.finished
    assert event.synchronized_transcript in ("", "one", "one two", "one two three")


async def test_a_voice_that_fails_in_a_sentence_leaves_a_part_of_it(mouth: Mouth) -> None:
    await mouth.line.transcript.capture_text("one two three four five six seven eight nine ten")
    await mouth.speak(0.3)
    mouth.line._mark_input_truncated()
    mouth.line.flush()
    await mouth.speak(0.3)
    mouth.line.flush()
    async with asyncio.timeout(10.0):
        while len(mouth.finished) < 2:
            mouth.done.clear()
            await mouth.done.wait()
    assert [event.synchronized_transcript for event in mouth.finished] == ["one", None]


async def test_every_segment_that_was_taken_back_is_reported(mouth: Mouth) -> None:
    await mouth.speak(1.0)
    mouth.line.flush()
    await mouth.speak(1.0)
    mouth.line.flush()
    mouth.line.clear_buffer()
    assert [event.interrupted for event in mouth.finished] == [True, True]


async def test_silence_has_nothing_to_take_back(mouth: Mouth) -> None:
    mouth.line.clear_buffer()
    assert mouth.finished == []
    assert mouth.cuts == []


async def test_a_new_segment_follows_an_interrupted_one(mouth: Mouth) -> None:
    await mouth.speak(2.0)
    mouth.line.clear_buffer()
    mouth.line.flush()  # as LiveKit does, whatever was taken back
    mouth.done.clear()
    await mouth.speak(0.1)
    mouth.line.flush()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert [event.interrupted for event in mouth.finished] == [True, False]


async def test_a_pause_is_heard_at_once_and_nothing_is_lost(mouth: Mouth) -> None:
    await mouth.speak(0.5)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    mouth.line.pause()
    handed, cuts = sum(size for size, _ in mouth.said), len(mouth.cuts)
    assert cuts == 1, "what WebRTC held is taken back"
    await asyncio.sleep(0.7)
    faded = sum(size for size, _ in mouth.said) - handed
    assert 0 < faded <= FADE, "the voice fades, and nothing else is heard"
    assert mouth.finished == []
    mouth.line.resume()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert [(event.interrupted, round(event.playback_position, 3)) for event in mouth.finished] == [
        (False, 0.5)
    ]
    again = sum(size for size, _ in mouth.said) - int(0.5 * SAID_RATE) * 2
    assert 0 < again <= int(0.25 * SAID_RATE) * 2 + FADE, "no more than WebRTC held"


async def test_a_pause_after_the_last_word_was_handed_over(mouth: Mouth) -> None:
    await mouth.speak(0.1)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    await asyncio.sleep(0)
    mouth.line.pause()
    await asyncio.sleep(0.3)
    assert mouth.finished == []
    mouth.line.resume()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert round(mouth.finished[0].playback_position, 3) == 0.1


async def test_an_interruption_of_a_pause_tells_what_was_heard(mouth: Mouth) -> None:
    await mouth.speak(1.0)
    mouth.line.flush()
    await asyncio.wait_for(mouth.began.wait(), 5.0)
    mouth.line.pause()
    mouth.line.clear_buffer()
    (event,) = mouth.finished
    assert event.interrupted
    assert event.playback_position < 0.1


async def test_an_aside_is_heard_and_is_nobodys_segment(mouth: Mouth) -> None:
    samples = SAID_RATE // 10
    mouth.line.aside([rtc.AudioFrame(bytes(samples * 2), SAID_RATE, 1, samples)] * 2)
    await mouth.speak(0.1)
    mouth.line.flush()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert [round(event.playback_position, 3) for event in mouth.finished] == [0.1]
    assert sum(size for size, _ in mouth.said) == 3 * samples * 2
    starts = [at for _, at in mouth.said]
    assert starts == sorted(starts)


async def test_a_pause_forgets_an_aside(mouth: Mouth) -> None:
    samples = SAID_RATE * 2
    mouth.line.aside([rtc.AudioFrame(bytes(samples * 2), SAID_RATE, 1, samples)])
    mouth.line.pause()
    mouth.line.resume()
    await mouth.speak(0.1)
    mouth.line.flush()
    await asyncio.wait_for(mouth.done.wait(), 5.0)
    assert sum(size for size, _ in mouth.said) < samples
