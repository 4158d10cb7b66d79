"""When to decode: at the first short silence, in the hope that the turn is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
from livekit import rtc
from livekit.agents import LanguageCode
from livekit.agents import stt as lk_stt
from livekit.agents import vad as lk_vad

from speech.offline.ears import SAMPLE_RATE, Samples

GUESS_AFTER_S = 0.09
"""Silence after which an utterance is decoded on trust; a shorter one is a gap between words."""

Decode = Callable[[Samples], Awaitable[str]]
Emit = Callable[[lk_stt.SpeechEvent], None]


class Hearing:
    """Turns a VAD's events into speech events, with the text ready when the turn ends.

    A guess that finishes before the VAD calls the turn over is sent as a preflight transcript, from
    which LiveKit may begin to prepare the reply.
    """

    def __init__(self, decode: Decode, emit: Emit, idle: Callable[[], bool]) -> None:
        self._decode = decode
        self._idle = idle
        self._emit = emit
        self._frames: list[rtc.AudioFrame] | None = None
        self._guess: asyncio.Task[str] | None = None

    async def on_vad(self, event: lk_vad.VADEvent) -> None:
        """Take the next event of the VAD's stream, in order."""
        if event.type is lk_vad.VADEventType.START_OF_SPEECH:
            self._frames = list(event.frames)
            self._emit(lk_stt.SpeechEvent(lk_stt.SpeechEventType.START_OF_SPEECH))
        elif event.type is lk_vad.VADEventType.END_OF_SPEECH:
            await self._end(event)
        elif self._frames is not None:
            self._frames.extend(event.frames)
            self._consider(event.raw_accumulated_silence)

    async def aclose(self) -> None:
        """Drop what is being decoded."""
        if self._guess is not None:
            self._guess.cancel()
            await asyncio.gather(self._guess, return_exceptions=True)

    def _consider(self, silence_s: float) -> None:
        if silence_s == 0.0 and self._guess is not None:
            self._guess.cancel()  # the person goes on: what was decoded is half a sentence
            self._guess = None
        elif silence_s >= GUESS_AFTER_S and self._guess is None and self._frames:
            if not self._idle():
                return  # a guess must not keep another caller's finished turn waiting
            samples = _samples(self._frames)
            self._guess = asyncio.create_task(self._foretell(samples), name="offline-stt.guess")

    async def _foretell(self, samples: Samples) -> str:
        text = await self._decode(samples)
        if text:
            self._emit(_event(lk_stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, text, None))
        return text

    async def _end(self, event: lk_vad.VADEvent) -> None:
        ended_at = time.time() - event.silence_duration - event.inference_duration
        self._emit(
            lk_stt.SpeechEvent(lk_stt.SpeechEventType.END_OF_SPEECH, speech_end_time=ended_at)
        )
        guess, self._guess, self._frames = self._guess, None, None
        text = await (guess or self._decode(_samples(event.frames)))
        if text:
            self._emit(_event(lk_stt.SpeechEventType.FINAL_TRANSCRIPT, text, ended_at))


def _event(kind: lk_stt.SpeechEventType, text: str, ended_at: float | None) -> lk_stt.SpeechEvent:
    said = lk_stt.SpeechData(language=LanguageCode("en"), text=text, confidence=1.0)
    return lk_stt.SpeechEvent(type=kind, alternatives=[said], speech_end_time=ended_at)


def _samples(frames: list[rtc.AudioFrame]) -> Samples:
    assert all(frame.sample_rate == SAMPLE_RATE for frame in frames)
    pcm = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames])
    samples: Samples = np.divide(pcm, 32_768, dtype=np.float32)
    return samples
