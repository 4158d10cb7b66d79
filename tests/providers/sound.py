"""The servers' voices and STT: the embedded engines, loaded when first needed, once a process."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import av
import numpy as np
import numpy.typing as npt
from livekit import rtc
from livekit.agents import inference
from livekit.agents import vad as lk_vad

from speech.offline import voice, whisper

TONE_HZ = 440.0
_TONE_LEVEL = 0.3
_TONE_S_PER_CHARACTER = 0.06
SILENCE_S = 0.4
"""Silence after which a streaming recogniser calls an utterance over, as its provider would."""

_whisper_lock = threading.Lock()
Samples = npt.NDArray[np.float32]
_Result = TypeVar("_Result")


@cache
def _speaker() -> voice.Speaker:
    return voice.Speaker.load()


@cache
def _whisper() -> whisper.Whisper:
    return whisper.Whisper.load()


class Sound:
    """Speaks and listens in threads of its own."""

    def __init__(self) -> None:
        self._speaking = ThreadPoolExecutor(1, thread_name_prefix="provider-voice")
        self._hearing = ThreadPoolExecutor(1, thread_name_prefix="provider-stt")

    def close(self) -> None:
        """Do nothing more; what is being rendered is finished unheard."""
        for executor in (self._speaking, self._hearing):
            executor.shutdown(wait=False, cancel_futures=True)

    async def speak(
        self, text: str, rate: int, *, speed: float = 1.0, volume: float = 1.0, tone: bool = False
    ) -> bytes:
        """Return `text` spoken, 16-bit mono at `rate`.

        Args:
            speed: a faster voice is a higher one, too; `volume` is a gain.
        """
        if tone:
            return _shaped(_tone(text), rate, speed, volume)
        return await _in(self._speaking, lambda: _shaped(_spoken(text), rate, speed, volume))

    async def hear(self, samples: Samples) -> str:
        """Return what was said in an utterance, mono at 16 kHz."""
        return await _in(self._hearing, lambda: _heard(samples))


class Listener:
    """Cuts the audio of a connection into utterances, by the bundled VAD.

    `started` and `ended` are awaited in order; `ended` gets the utterance at 16 kHz.
    """

    def __init__(
        self,
        rate: int,
        started: Callable[[], Awaitable[None]],
        ended: Callable[[Samples], Awaitable[None]],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._rate = rate
        self._started = started
        self._ended = ended
        self._stream = inference.VAD(min_silence_duration=silence_s).stream()
        self._resampler = (
            None if rate == whisper.SAMPLE_RATE else rtc.AudioResampler(rate, whisper.SAMPLE_RATE)
        )
        self.received_s = 0.0

    def push(self, pcm: bytes) -> None:
        """Take 16-bit mono audio."""
        pcm = pcm[: len(pcm) // 2 * 2]
        if not pcm:
            return
        self.received_s += len(pcm) / 2 / self._rate
        frame = rtc.AudioFrame(pcm, self._rate, 1, len(pcm) // 2)
        for part in [frame] if self._resampler is None else self._resampler.push(frame):
            self._stream.push_frame(part)

    def finish(self) -> None:
        """Say that no more audio comes."""
        self._stream.end_input()

    async def run(self) -> None:
        """Tell of utterances until `finish`; the last one, if it is still going on, too."""
        speaking: list[Samples] | None = None
        try:
            async for event in self._stream:
                if event.type is lk_vad.VADEventType.START_OF_SPEECH:
                    speaking = [_floats(event.frames)]
                    await self._started()
                elif event.type is lk_vad.VADEventType.END_OF_SPEECH:
                    speaking = None
                    await self._ended(_floats(event.frames))
                elif speaking is not None:
                    speaking.append(_floats(event.frames))
            if speaking is not None:
                await self._ended(np.concatenate(speaking))
        finally:
            await self._stream.aclose()


def samples_of(pcm: bytes, rate: int) -> Samples:
    """Return 16-bit mono audio as 16 kHz floats, for the recogniser."""
    return _at_rate(_wave(pcm[: len(pcm) // 2 * 2]), rate, whisper.SAMPLE_RATE)


def decoded(file: bytes) -> Samples:
    """Return an audio file of any kind as 16 kHz floats."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=whisper.SAMPLE_RATE)
    with av.open(io.BytesIO(file), "r") as container:
        frames = [*container.decode(audio=0), None]
        parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return _wave(np.concatenate(parts).tobytes() if parts else b"")


def packed(pcm: bytes, rate: int, container: str) -> bytes:
    """Return 16-bit mono audio as a file: `mp3`, `wav`, `flac`, `aac` (ADTS) or `opus` (Ogg)."""
    codec, form = {
        "mp3": ("libmp3lame", "mp3"),
        "wav": ("pcm_s16le", "wav"),
        "flac": ("flac", "flac"),
        "aac": ("aac", "adts"),
        "opus": ("libopus", "ogg"),
    }[container]
    if not pcm:
        return b""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size or 0
        )
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = rate
        for part in (frame, None):
            for one in resampler.resample(part):
                out.mux(stream.encode(one))
        out.mux(stream.encode(None))
    return buffer.getvalue()


async def _in(executor: Executor, work: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


def _heard(samples: Samples) -> str:
    with _whisper_lock:
        return _whisper().transcribe(samples)


def _spoken(text: str) -> Samples:
    return _wave(b"".join(_speaker().stream(text)))


def _tone(text: str) -> Samples:
    length = int(max(0.3, len(text) * _TONE_S_PER_CHARACTER) * voice.SAMPLE_RATE)
    instants = np.arange(length) / voice.SAMPLE_RATE
    wave: Samples = (_TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * instants)).astype(np.float32)
    return wave


def _shaped(wave: Samples, rate: int, speed: float, volume: float) -> bytes:
    faster = _at_rate(wave, int(voice.SAMPLE_RATE * speed), voice.SAMPLE_RATE)
    samples = _at_rate(faster, voice.SAMPLE_RATE, rate)
    pcm: bytes = (np.clip(samples * volume, -1.0, 1.0) * 32_767).astype("<i2").tobytes()
    return pcm


def _at_rate(wave: Samples, have: int, want: int) -> Samples:
    """Return `wave` of `have` Hz at `want` Hz."""
    if have == want or wave.size == 0:
        return wave
    length = int(wave.size * want / have)
    if want < have:  # what the lower rate cannot carry would fold back as noise
        width = have / want
        wave = np.convolve(wave, _low_pass(width), mode="same").astype(np.float32)
    resampled: Samples = np.interp(
        np.arange(length) * (have / want), np.arange(wave.size), wave
    ).astype(np.float32)
    return resampled


def _low_pass(width: float) -> Samples:
    instants = np.arange(-32, 33)
    kernel = np.sinc(instants / width) * np.hamming(instants.size)
    low: Samples = (kernel / kernel.sum()).astype(np.float32)
    return low


def _floats(frames: list[rtc.AudioFrame]) -> Samples:
    return _wave(b"".join(bytes(frame.data) for frame in frames))


def _wave(pcm: bytes) -> Samples:
    wave: Samples = np.divide(np.frombuffer(pcm, "<i2"), 32_768, dtype=np.float32)
    return wave
