"""Sound in the place of what was lost: the last period again, softer and softer.

The way of G.711 Appendix I, shortened: nothing is delayed for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_KEPT_S = 0.04
_COMPARED_S = 0.02
_LEAST_S, _MOST_S = 0.005, 0.015  # of a period: 200 to 66 Hz
_FULL_S, _GONE_S = 0.01, 0.06  # at full strength; until nothing is left
_BLEND_S = 0.004  # over which what comes next takes over

_Samples = npt.NDArray[np.float32]


class Concealment:
    """Knows what was heard last and goes on with it; 16 bit, at a rate in Hz."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: _Samples = np.zeros(round(_KEPT_S * rate), np.float32)
        self._period: _Samples | None = None  # while something is concealed
        self._filled = 0

    def heard(self, pcm: bytes) -> bytes:
        """Take note of sound; returned as it was, or blended in after what was concealed."""
        samples = np.frombuffer(pcm, np.int16)
        if self._period is not None:
            count = min(round(_BLEND_S * self._rate), len(samples))
            rising = np.arange(1, count + 1, dtype=np.float32) / (count + 1)
            blended = samples.astype(np.float32)
            blended[:count] = blended[:count] * rising + self._next(count) * (1 - rising)
            samples = np.rint(blended).astype(np.int16)
            pcm = samples.tobytes()
            self._period = None
        self._store(samples.astype(np.float32))
        return pcm

    def fill(self, count: int) -> bytes:
        """So many samples (not bytes) that follow what was heard."""
        if self._period is None:
            self._period, self._filled = self._last[-self._length() :], 0
        return np.rint(self._next(count)).astype(np.int16).tobytes()

    def _next(self, count: int) -> _Samples:
        assert self._period is not None
        at = np.arange(self._filled, self._filled + count)
        self._filled += count
        gain = np.clip((_GONE_S - at / self._rate) / (_GONE_S - _FULL_S), 0.0, 1.0)
        return self._period.take(at, mode="wrap") * gain.astype(np.float32)

    def _store(self, samples: _Samples) -> None:
        self._last = np.concatenate([self._last, samples])[-len(self._last) :]

    def _length(self) -> int:
        """The period of what was heard last: the shift by which it is most like itself."""
        compared = round(_COMPARED_S * self._rate)
        recent = self._last[-compared:]
        shifted = np.lib.stride_tricks.sliding_window_view(self._last, compared)
        lags = np.arange(round(_LEAST_S * self._rate), round(_MOST_S * self._rate) + 1)
        earlier = shifted[len(self._last) - compared - lags]
        power = np.einsum("ij,ij->i", earlier, earlier) + 1.0
        return int(lags[np.argmax(earlier @ recent / np.sqrt(power))])
