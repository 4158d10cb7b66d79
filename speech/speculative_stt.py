"""Recognisers that take an utterance whole, asked at the first short silence: the turn may be over.

What they say then is sent as a preflight transcript, from which LiveKit may begin to prepare the
reply, and is the final one as soon as the VAD calls the turn over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc
from livekit.agents import NOT_GIVEN, APIConnectOptions, LanguageCode, NotGivenOr
from livekit.agents import stt as lk_stt
from livekit.agents import vad as lk_vad
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.utils.audio import calculate_audio_duration

from process.logs import get_logger

GUESS_AFTER_S = 0.09
"""Silence after which an utterance is decoded on trust; a shorter one is a gap between words."""
LONGEST_GUESS_S = 10.0
"""LiveKit prepares no reply to a longer utterance, and every guess decodes it from its start."""

Frames = list[rtc.AudioFrame]
Decode = Callable[[Frames], Awaitable[SpeechData | None]]
Guess = asyncio.Task[SpeechData | None]
Emit = Callable[[SpeechEvent], None]

log = get_logger(__name__)


class SpeculativeStream(lk_stt.RecognizeStream):
    """Streams through a recogniser that does not.

    Args:
        owner: decodes; its failures while guessing only mean that there is no guess.
        listening: tells where utterances begin and end.
        conn_options: for each utterance that is over.
        idle: whether a guess would keep nobody waiting.
        sample_rate: what `owner` wants, in Hz.
    """

    def __init__(
        self,
        owner: lk_stt.STT[Any],
        listening: lk_vad.VAD,
        conn_options: APIConnectOptions,
        *,
        idle: Callable[[], bool] = lambda: True,
        sample_rate: NotGivenOr[int] = NOT_GIVEN,
    ) -> None:
        self._owner = owner
        self._listening = listening
        self._idle = idle
        self._deciding = conn_options
        once = APIConnectOptions(max_retry=0, timeout=conn_options.timeout)
        super().__init__(stt=owner, conn_options=once, sample_rate=sample_rate)

    async def _run(self) -> None:
        stream = self._listening.stream()
        emit = self._event_ch.send_nowait
        hearing = Hearing(self._guess, self._decode, emit, self._idle)
        forward = asyncio.create_task(self._forward(stream), name="stt.forward")
        try:
            async for event in stream:
                await hearing.on_vad(event)
            await forward
        finally:
            forward.cancel()
            await asyncio.gather(forward, return_exceptions=True)
            await hearing.aclose()
            await stream.aclose()

    async def _forward(self, stream: lk_vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                stream.flush()
            else:
                stream.push_frame(item)
        stream.end_input()

    async def _guess(self, frames: Frames) -> SpeechData | None:
        used = lk_stt.RecognitionUsage(audio_duration=calculate_audio_duration(frames))
        self._event_ch.send_nowait(
            SpeechEvent(SpeechEventType.RECOGNITION_USAGE, recognition_usage=used)
        )
        # Not `recognize`, which tells the session of every failure.
        return _heard(await self._owner._recognize_impl(frames, conn_options=self._conn_options))

    async def _decode(self, frames: Frames) -> SpeechData | None:
        return _heard(await self._owner.recognize(frames, conn_options=self._deciding))


class Hearing:
    """Turns a VAD's events into speech events, with the text ready when the turn ends."""

    def __init__(self, guess: Decode, decode: Decode, emit: Emit, idle: Callable[[], bool]) -> None:
        self._make_guess = guess
        self._decode = decode
        self._idle = idle
        self._emit = emit
        self._frames: Frames | None = None
        self._since_s: float | None = None  # sound since the end of what was said before
        self._heard_s = 0.0  # at the start of this utterance, sound that belonged to that
        self._guess: Guess | None = None
        self._asking: Guess | None = None  # under way, though it may be wanted no more

    async def on_vad(self, event: lk_vad.VADEvent) -> None:
        """Take the next event of the VAD's stream, in order; raises what the decoder raises."""
        if event.type is lk_vad.VADEventType.START_OF_SPEECH:
            # What the VAD keeps from before the start reaches back into the words before a short
            # pause: they would be heard twice.
            if self._since_s is not None:
                sound_s = calculate_audio_duration(event.frames)
                self._heard_s = max(0.0, sound_s - self._since_s)
            self._frames = _without(event.frames, self._heard_s)
            self._emit(SpeechEvent(SpeechEventType.START_OF_SPEECH))
        elif event.type is lk_vad.VADEventType.END_OF_SPEECH:
            await self._end(event)
        elif self._frames is not None:
            self._frames.extend(event.frames)
            self._consider(self._frames, event.raw_accumulated_silence)
        elif self._since_s is not None:
            self._since_s += calculate_audio_duration(event.frames)

    async def aclose(self) -> None:
        """Drop what is being decoded."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _consider(self, frames: Frames, silence_s: float) -> None:
        if silence_s == 0.0:
            # The person goes on: what was decoded is half a sentence. It is not cancelled, which
            # would close a connection that the next one needs.
            self._guess = None
        elif silence_s >= GUESS_AFTER_S and self._guess is None and self._may_guess(frames):
            guess = asyncio.create_task(self._foretell(list(frames)), name="stt.guess")
            guess.add_done_callback(self._guessed)
            self._guess = self._asking = guess

    def _may_guess(self, frames: Frames) -> bool:
        """Whether a guess is worth it, and keeps neither this call nor another waiting."""
        if self._asking is not None or not self._idle():
            return False
        return 0 < calculate_audio_duration(frames) <= LONGEST_GUESS_S

    async def _foretell(self, frames: Frames) -> SpeechData | None:
        said = await self._make_guess(frames)
        if said is not None and asyncio.current_task() is self._guess:
            self._emit(SpeechEvent(SpeechEventType.PREFLIGHT_TRANSCRIPT, alternatives=[said]))
        return said

    def _guessed(self, guess: Guess) -> None:
        self._asking = None
        if not guess.cancelled() and (problem := guess.exception()) is not None:
            log.info("what may be an utterance was not decoded", why=type(problem).__name__)

    async def _end(self, event: lk_vad.VADEvent) -> None:
        ended_at = time.time() - event.silence_duration - event.inference_duration
        self._emit(SpeechEvent(SpeechEventType.END_OF_SPEECH, speech_end_time=ended_at))
        guess, self._guess, self._frames = self._guess, None, None
        frames, self._heard_s = _without(event.frames, self._heard_s), 0.0
        self._since_s = event.silence_duration
        said = await self._said(guess, frames)
        # Who waits for its words is told as well that there were none.
        said = said or SpeechData(language=LanguageCode(""), text="")
        final = SpeechEventType.FINAL_TRANSCRIPT
        self._emit(SpeechEvent(final, alternatives=[said], speech_end_time=ended_at))

    async def _said(self, guess: Guess | None, frames: Frames) -> SpeechData | None:
        if guess is not None:
            await asyncio.wait([guess])
            if guess.exception() is None:
                return guess.result()
        return await self._decode(frames)


def _without(frames: Frames, seconds: float) -> Frames:
    """Return `frames` less so much of their beginning."""
    left: Frames = []
    for frame in frames:
        cut = min(frame.samples_per_channel, round(seconds * frame.sample_rate))
        seconds = max(0.0, seconds - frame.duration)
        if cut < frame.samples_per_channel:
            channels, samples = frame.num_channels, frame.samples_per_channel - cut
            data = bytes(frame.data[cut * channels :])
            left.append(rtc.AudioFrame(data, frame.sample_rate, channels, samples))
    return left


def _heard(event: SpeechEvent) -> SpeechData | None:
    """Return what was said, unless that was nothing."""
    return event.alternatives[0] if event.alternatives and event.alternatives[0].text else None
