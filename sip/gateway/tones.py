"""Tones and mixing of 16-bit sound."""

from __future__ import annotations

import array
import functools
import math
from collections.abc import Sequence

_PEAK = 15_800
_LIMIT = 32_767


class Cadence:
    """A repeating tone: `hertz` for `on` seconds, then silence for `off` seconds."""

    def __init__(self, hertz: float, on: float, off: float, rate: int):
        step = 2 * math.pi * hertz / rate
        samples = array.array("h", (int(_PEAK * math.sin(step * i)) for i in range(int(rate * on))))
        samples.extend([0] * int(rate * off))
        self._pcm = samples.tobytes()

    def at(self, offset: int, size: int) -> bytes:
        """`size` bytes of the cadence from byte `offset` on."""
        start = offset % len(self._pcm)
        piece = self._pcm[start : start + size]
        return piece if len(piece) == size else piece + self._pcm[: size - len(piece)]


@functools.cache
def dial_tone(rate: int) -> Cadence:
    """The dial tone at a rate (Hz)."""
    return Cadence(425.0, 1.0, 4.0, rate)


def mixed(parts: Sequence[bytes]) -> bytes:
    """The sum of equally long sounds, clipped, not scaled."""
    if len(parts) == 1:
        return parts[0]
    sums = [sum(column) for column in zip(*(memoryview(p).cast("h") for p in parts), strict=True)]
    return array.array("h", (max(-_LIMIT - 1, min(_LIMIT, s)) for s in sums)).tobytes()
