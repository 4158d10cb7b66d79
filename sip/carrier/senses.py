"""The simulator's recogniser and voice, at the telephone's 8 kHz; one decode thread for all."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import av
import numpy as np
import numpy.typing as npt

from speech.offline.voice import SAMPLE_RATE, Speaker
from speech.offline.whisper import SAMPLE_RATE as WHISPER_RATE
from speech.offline.whisper import Whisper

RATE = 8_000
Pcm = npt.NDArray[np.int16]


class Senses:
    """Turns text into telephone sound and back."""

    def __init__(self, whisper: Whisper, speaker: Speaker) -> None:
        self._whisper = whisper
        self._speaker = speaker
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="carrier-stt")
        self._speaking = ThreadPoolExecutor(1, thread_name_prefix="carrier-voice")
        self._render = lru_cache(maxsize=256)(self._synthesize)

    @classmethod
    def load(cls) -> Senses:
        """Return the embedded engines, each having worked once.

        Raises:
            EmbeddedSpeechMissing: the extra is not installed.
        """
        senses = cls(Whisper.load(), Speaker.load())
        senses._whisper.transcribe(senses._up(senses._render("Hello.")))
        return senses

    async def speak(self, text: str) -> Pcm:
        """Return `text` spoken, 8 kHz."""
        return await asyncio.get_running_loop().run_in_executor(self._speaking, self._render, text)

    async def understand(self, pcm: Pcm) -> str:
        """Return what was said in one utterance of 8 kHz."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoding, self._decode, pcm)

    def spoken(self, text: str) -> Pcm:
        """Return `text` spoken, 8 kHz, without waiting in turn: for start-up only."""
        return self._render(text)

    def close(self) -> None:
        """End the threads."""
        self._decoding.shutdown(wait=True, cancel_futures=True)
        self._speaking.shutdown(wait=True, cancel_futures=True)

    def _decode(self, pcm: Pcm) -> str:
        return self._whisper.transcribe(self._up(pcm))

    def _up(self, pcm: Pcm) -> npt.NDArray[np.float32]:
        up = resampled(pcm, RATE, WHISPER_RATE)
        return np.divide(up, 32_768, dtype=np.float32)

    def _synthesize(self, text: str) -> Pcm:
        wave = np.frombuffer(b"".join(self._speaker.stream(text)), np.int16)
        return resampled(wave, SAMPLE_RATE, RATE)


def resampled(pcm: Pcm, rate: int, wanted: int) -> Pcm:
    """Return mono sound of `rate` Hz at `wanted` Hz."""
    if not pcm.size:
        return pcm
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="s16", layout="mono", rate=wanted)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def beep(seconds: float = 0.5, hertz: float = 1_000.0) -> Pcm:
    """Return a tone, as an answering machine gives before it records."""
    at = np.arange(int(seconds * RATE)) / RATE
    tone: Pcm = (9_000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)
    return tone
