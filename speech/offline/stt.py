"""The embedded recogniser as a LiveKit STT.

With a VAD it streams (speech/speculative_stt.py); without one it is a batch recogniser.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future

import numpy as np
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
)
from livekit.agents import stt as lk_stt
from livekit.agents import vad as lk_vad
from livekit.agents.utils import AudioBuffer

from speech.offline.whisper import SAMPLE_RATE, Samples, Whisper
from speech.speculative_stt import SpeculativeStream

LANGUAGE = LanguageCode("en")


class OfflineSTT(lk_stt.STT[str]):
    """Transcripts from the embedded model; all streams of a process share its one decode thread."""

    def __init__(
        self, whisper: Whisper, executor: Executor, *, vad: lk_vad.VAD | None = None
    ) -> None:
        super().__init__(
            capabilities=lk_stt.STTCapabilities(
                streaming=vad is not None, interim_results=False, offline_recognize=True
            )
        )
        self._whisper = whisper
        self._executor = executor
        self._vad = vad
        self._jobs: set[Future[str]] = set()

    @property
    def model(self) -> str:
        return "whisper-tiny.en"

    @property
    def provider(self) -> str:
        return "offline"

    async def decode(self, samples: Samples) -> str:
        """Return the text of one utterance (16 kHz), decoded on the process's decode thread."""
        job = self._executor.submit(self._whisper.transcribe, samples)
        # Not a counter around the await: a decode that was begun runs on when nobody waits for it.
        self._jobs = {*(one for one in self._jobs if not one.done()), job}
        return await asyncio.wrap_future(job)

    def idle(self) -> bool:
        """Whether nothing of this recogniser's is being decoded."""
        return all(job.done() for job in self._jobs)

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> lk_stt.SpeechEvent:
        # English is all it hears and nothing is connected to: `language`, `conn_options` are moot.
        del language, conn_options
        text = await self.decode(to_samples(buffer))
        said = lk_stt.SpeechData(language=LANGUAGE, text=text, confidence=1.0)
        return lk_stt.SpeechEvent(lk_stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> lk_stt.RecognizeStream:
        """Return a stream that says what was heard as soon as the VAD ends a turn."""
        if self._vad is None:
            return super().stream(language=language, conn_options=conn_options)
        return SpeculativeStream(
            self, self._vad, conn_options, idle=self.idle, sample_rate=SAMPLE_RATE
        )


def to_samples(buffer: AudioBuffer) -> Samples:
    """Return any audio that LiveKit hands over as mono 16 kHz floats, −1 to 1."""
    frame = rtc.combine_audio_frames(buffer)
    if frame.sample_rate != SAMPLE_RATE:
        resampler = rtc.AudioResampler(
            frame.sample_rate, SAMPLE_RATE, num_channels=frame.num_channels
        )
        frames = [*resampler.push(frame), *resampler.flush()]
        if not frames:
            return np.zeros(0, np.float32)
        frame = rtc.combine_audio_frames(frames)
    samples: Samples = np.divide(np.frombuffer(frame.data, np.int16), 32_768, dtype=np.float32)
    if frame.num_channels > 1:
        mono: Samples = samples.reshape(-1, frame.num_channels).mean(axis=1, dtype=np.float32)
        return mono
    return samples
