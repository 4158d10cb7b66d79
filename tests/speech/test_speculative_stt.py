"""Utterances decoded on trust at the first short silence, by told events of a VAD."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, LanguageCode
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.vad import VADEvent, VADEventType

from speech.speculative_stt import GUESS_AFTER_S, LONGEST_GUESS_S, Frames, Hearing

pytestmark = pytest.mark.unit
RATE = 16_000
START, FINAL = SpeechEventType.START_OF_SPEECH, SpeechEventType.FINAL_TRANSCRIPT
PREFLIGHT, END = SpeechEventType.PREFLIGHT_TRANSCRIPT, SpeechEventType.END_OF_SPEECH


def sound(seconds: float) -> Frames:
    samples = int(seconds * RATE)
    return [rtc.AudioFrame(bytes(2 * samples), RATE, 1, samples)]


class Asked:
    """One request: how much sound, and the answer that the test gives it."""

    def __init__(self, frames: Frames) -> None:
        self.seconds = sum(frame.duration for frame in frames)
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Room:
    """A `Hearing`, what it asked and what it told."""

    def __init__(self) -> None:
        self.guesses: list[Asked] = []
        self.decoded: list[Asked] = []
        self.told: list[SpeechEvent] = []
        self.is_idle = True
        self.hearing = Hearing(self._guess, self._decode, self.told.append, lambda: self.is_idle)
        self.frames: Frames = []

    async def speaks(self, seconds: float = 1.0, *, kept_s: float = 0.1) -> None:
        if not self.frames:
            await self._event(VADEventType.START_OF_SPEECH, sound(kept_s))
        await self._event(VADEventType.INFERENCE_DONE, sound(seconds))

    async def pauses(self, seconds: float = GUESS_AFTER_S) -> None:
        await self._event(VADEventType.INFERENCE_DONE, sound(0.032), silence=seconds)
        await asyncio.sleep(0)  # lets a guess be asked

    async def is_quiet(self, seconds: float) -> None:
        await self.hearing.on_vad(
            VADEvent(VADEventType.INFERENCE_DONE, 0, 0.0, 0.0, 0.0, frames=sound(seconds))
        )

    async def ends(self) -> None:
        frames, self.frames = self.frames, []
        event = VADEvent(VADEventType.END_OF_SPEECH, 0, 0.0, 1.0, 0.2, frames=frames)
        await self.hearing.on_vad(event)

    def said(self) -> list[tuple[SpeechEventType, str]]:
        return [(e.type, e.alternatives[0].text if e.alternatives else "") for e in self.told]

    async def _event(self, kind: VADEventType, frames: Frames, silence: float = 0.0) -> None:
        self.frames += frames
        event = VADEvent(kind, 0, 0.0, 1.0, 0.0, frames=frames, raw_accumulated_silence=silence)
        await self.hearing.on_vad(event)

    async def _guess(self, frames: Frames) -> SpeechData | None:
        return await self._answered(self.guesses, frames)

    async def _decode(self, frames: Frames) -> SpeechData | None:
        return await self._answered(self.decoded, frames)

    async def _answered(self, requests: list[Asked], frames: Frames) -> SpeechData | None:
        asked = Asked(frames)
        requests.append(asked)
        text = await asked.answer
        return SpeechData(language=LanguageCode("en"), text=text) if text else None


@pytest.fixture
def room() -> Room:
    return Room()


async def settled() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_guess_is_told_at_once_and_is_the_final_without_asking_again(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    room.guesses[0].answer.set_result("Are you open?")
    await settled()
    assert room.said() == [(START, ""), (PREFLIGHT, "Are you open?")]
    await room.ends()
    assert room.said()[2:] == [(END, ""), (FINAL, "Are you open?")]
    assert room.guesses[0].seconds == pytest.approx(1.132)
    assert room.decoded == []


async def test_what_was_heard_before_a_short_pause_is_not_heard_again(room: Room) -> None:
    """The VAD hands over half a second from before the start; the pause had less."""
    await room.speaks(kept_s=0.5)
    await room.pauses()
    assert room.guesses[0].seconds == pytest.approx(1.532)  # nothing was said before
    room.guesses[0].answer.set_result("Great, thank you.")
    await room.ends()  # 0.2 s of silence
    await room.is_quiet(0.15)
    await room.speaks(kept_s=0.5)
    await room.pauses()
    assert room.guesses[1].seconds == pytest.approx(0.35 + 1.032)
    ending = asyncio.create_task(room.ends())
    await settled()
    room.guesses[1].answer.set_exception(APIConnectionError())
    await settled()
    assert room.decoded[0].seconds == pytest.approx(0.35 + 1.032)
    room.decoded[0].answer.set_result("That is all.")
    await ending
    await room.is_quiet(3.0)
    await room.speaks(kept_s=0.5)
    await room.pauses()
    assert room.guesses[2].seconds == pytest.approx(1.532)
    await room.hearing.aclose()


async def test_an_end_waits_for_the_guess_that_is_under_way(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    ending = asyncio.create_task(room.ends())
    await settled()
    assert room.said() == [(START, ""), (END, "")]
    room.guesses[0].answer.set_result("Are you open?")
    await ending
    assert room.said()[2:] == [(FINAL, "Are you open?")]
    assert room.decoded == []


async def test_who_goes_on_is_heard_whole(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    await room.speaks()
    room.guesses[0].answer.set_result("Are you open?")
    await settled()
    assert room.said() == [(START, "")]
    await room.pauses()
    assert room.guesses[1].seconds == pytest.approx(2.164)
    room.guesses[1].answer.set_result("Are you open on Sunday?")
    await room.ends()
    assert room.said()[1:] == [(END, ""), (FINAL, "Are you open on Sunday?")]


async def test_one_guess_at_a_time_and_an_end_waits_for_no_other(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    await room.speaks()
    await room.pauses()
    assert len(room.guesses) == 1
    ending = asyncio.create_task(room.ends())
    await settled()
    room.decoded[0].answer.set_result("Are you open on Sunday?")
    await ending
    assert room.said()[1:] == [(END, ""), (FINAL, "Are you open on Sunday?")]
    await room.hearing.aclose()


async def test_a_guess_that_fails_is_none(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    room.guesses[0].answer.set_exception(APIConnectionError())
    await settled()
    ending = asyncio.create_task(room.ends())
    await settled()
    room.decoded[0].answer.set_result("Are you open?")
    await ending
    assert room.said() == [(START, ""), (END, ""), (FINAL, "Are you open?")]


async def test_a_final_that_fails_is_told(room: Room) -> None:
    await room.speaks()
    ending = asyncio.create_task(room.ends())
    await settled()
    room.decoded[0].answer.set_exception(APIConnectionError())
    with pytest.raises(APIConnectionError):
        await ending


async def test_a_cough_is_asked_for_once_and_is_told_to_be_no_words(room: Room) -> None:
    await room.speaks(0.3)
    await room.pauses()
    room.guesses[0].answer.set_result("")
    await room.ends()
    assert room.said() == [(START, ""), (END, ""), (FINAL, "")]
    assert room.decoded == []


@pytest.mark.parametrize("why", ["a gap between words", "a long story", "others wait"])
async def test_not_guessed_at(room: Room, why: str) -> None:
    await room.speaks(LONGEST_GUESS_S if why == "a long story" else 1.0)
    room.is_idle = why != "others wait"
    await room.pauses(0.064 if why == "a gap between words" else GUESS_AFTER_S)
    assert room.guesses == []


async def test_closing_drops_what_is_being_decoded(room: Room) -> None:
    await room.speaks()
    await room.pauses()
    await room.hearing.aclose()
    assert room.guesses[0].answer.cancelled()
