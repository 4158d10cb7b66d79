"""The agent's audio as the line wants it: one rate, short frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from livekit import rtc

SAID_RATE = 24_000
"""Hz of the agent's audio: what the voices speak at."""
FRAME_MS = 20
_SILENT = 330
"""A hundredth of full scale: what is softer is the end of a breath."""


def split(samples: bytes) -> Iterator[rtc.AudioFrame]:
    """Return `samples` (int16 mono, `SAID_RATE`) in frames of `FRAME_MS`."""
    size = SAID_RATE * FRAME_MS // 1000 * 2
    for start in range(0, len(samples), size):
        yield frame_of(samples[start : start + size])


def at_said_rate(frames: Iterable[rtc.AudioFrame]) -> Iterator[bytes]:
    """Return the samples of mono `frames`, at `SAID_RATE` whatever theirs is."""
    resampler: rtc.AudioResampler | None = None
    for frame in frames:
        if frame.sample_rate == SAID_RATE:
            yield bytes(frame.data)
            continue
        if resampler is None:
            resampler = rtc.AudioResampler(frame.sample_rate, SAID_RATE, num_channels=1)
        for piece in resampler.push(frame):
            yield bytes(piece.data)
    if resampler is not None:
        for piece in resampler.flush():
            yield bytes(piece.data)


def frame_of(samples: bytes) -> rtc.AudioFrame:
    """Return `samples` (int16 mono, `SAID_RATE`) as one frame."""
    return rtc.AudioFrame(
        data=samples,
        sample_rate=SAID_RATE,
        num_channels=1,
        samples_per_channel=len(samples) // 2,
    )


def is_audible(frame: rtc.AudioFrame) -> bool:
    """Whether there is more in it than silence."""
    samples = np.frombuffer(frame.data, dtype=np.int16)
    return int(samples.max()) > _SILENT or int(samples.min()) < -_SILENT
