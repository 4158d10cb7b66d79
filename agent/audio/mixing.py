"""Sample arithmetic: what plays beside the agent's words is added to them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
_LOWEST, _HIGHEST = -32_768, 32_767


def mixed(*sides: Samples) -> Samples:
    """Return the sum of as many samples from each side, held at the limits."""
    return _held(np.sum(sides, axis=0, dtype=np.int32))


FADE_MS = 40
"""In so much time a voice that is broken off falls silent: at once it would click."""


def fade_out(samples: bytes) -> bytes:
    """Return mono int16 `samples` that grow softer, from as loud as they are to silence."""
    given = np.frombuffer(samples, np.int16)
    faded = given * np.linspace(1.0, 0.0, len(given), endpoint=False)
    return faded.astype(np.int16).tobytes()


class Loop:
    """A clip that plays from its start, over and over, as often as it is taken from.

    Args:
        clip: mono samples, at least one.
        volume: linear gain, 0 is silent, 1 leaves the clip as it is.
        under_words: whether it goes on while the agent speaks; otherwise words end it.
    """

    def __init__(self, clip: Samples, volume: float, *, under_words: bool) -> None:
        self.under_words = under_words
        self._clip = clip
        self._volume = np.float32(volume)
        self._taken = 0

    def read(self, count: int) -> npt.NDArray[np.float32]:
        """Return the next `count` samples at this loop's volume."""
        wanted = np.arange(self._taken, self._taken + count)
        self._taken += count
        return self._clip.take(wanted, mode="wrap") * self._volume

    def take_back(self, count: int) -> None:
        """Have the last `count` samples taken, or as many as there were, come again."""
        self._taken = max(0, self._taken - count)

    def rewind(self) -> None:
        """Begin at the clip's start again."""
        self._taken = 0


class Mixer:
    """What plays beside the words, in the order in which it is sent."""

    def __init__(self) -> None:
        self._loops: list[Loop] = []

    @property
    def audible(self) -> bool:
        """Whether anything plays."""
        return bool(self._loops)

    @property
    def ends_with_words(self) -> bool:
        """Whether anything plays that words end."""
        return any(not loop.under_words for loop in self._loops)

    def add(self, loop: Loop) -> None:
        """Play `loop` from its start."""
        loop.rewind()
        if loop not in self._loops:
            self._loops.append(loop)

    def remove(self, loop: Loop) -> bool:
        """Play `loop` no more; returns whether it played."""
        if loop not in self._loops:
            return False
        self._loops.remove(loop)
        return True

    def next(self, count: int) -> bytes:
        """Return the next `count` samples of what plays."""
        return self._mixed(np.zeros(count, dtype=np.float32))

    def beside(self, words: bytes) -> bytes:
        """Return `words` with what may play under them; what may not has ended."""
        self._loops = [loop for loop in self._loops if loop.under_words]
        if not self._loops:
            return words
        return self._mixed(np.frombuffer(words, dtype=np.int16).astype(np.float32))

    def take_back(self, count: int) -> None:
        """Have the last `count` samples, which were not heard, come again."""
        for loop in self._loops:
            loop.take_back(count)

    def _mixed(self, samples: npt.NDArray[np.float32]) -> bytes:
        for loop in self._loops:
            samples += loop.read(len(samples))
        return _held(np.rint(samples)).tobytes()


def _held(samples: npt.NDArray[np.generic]) -> Samples:
    """Return `samples` as int16: what is too loud is held at the limit and does not wrap."""
    held: Samples = np.clip(samples, _LOWEST, _HIGHEST).astype(np.int16)
    return held
