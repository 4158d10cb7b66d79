"""From one sample rate to another, piece by piece, with a delay of a millisecond and no queue.

The SDK's resampler keeps more than it needs and hands it over with what follows; where nothing
follows, as by the short way between two sentences, the last of a word would stay in it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_ZEROS = 12
"""Zero crossings of the filter on either side: steep enough for a telephone's band."""


class Resampler:
    """Mono int16 at one rate in, at another out; `of` may be given any length."""

    def __init__(self, rate: int, to: int) -> None:
        common = math.gcd(rate, to)
        self._up, self._down = to // common, rate // common
        self._filter = _low_pass(max(self._up, self._down), self._up)
        self.reset()

    def reset(self) -> None:
        """Forget what came before: what follows is heard after silence."""
        self._before: npt.NDArray[np.float32] = np.zeros(len(self._filter) - 1, np.float32)
        self._phase = 0  # of what comes next, at the higher rate

    def of(self, samples: bytes) -> bytes:
        """The same sound at the other rate."""
        if self._up == self._down or not samples:
            return samples
        given = np.frombuffer(samples, np.int16)
        spread = np.zeros(len(given) * self._up, np.float32)
        spread[:: self._up] = given
        whole = np.concatenate([self._before, spread])
        filtered = np.convolve(whole, self._filter, "valid")[self._phase :: self._down]
        self._phase = (self._phase - len(spread)) % self._down
        self._before = whole[len(spread) :]
        return np.clip(np.rint(filtered), -32_768, 32_767).astype(np.int16).tobytes()


def _low_pass(factor: int, gain: int) -> npt.NDArray[np.float32]:
    """A windowed sinc that leaves what both rates can carry."""
    at = np.arange(-_ZEROS * factor, _ZEROS * factor + 1)
    taps = np.sinc(0.92 * at / factor) * np.kaiser(len(at), 7.0)
    scaled: npt.NDArray[np.float32] = (gain * taps / taps.sum()).astype(np.float32)
    return scaled
