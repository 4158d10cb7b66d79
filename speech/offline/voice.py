"""The embedded voice: hibari's one packaged voice, 24 kHz, the same bytes for the same sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from speech.offline.extra import require

SAMPLE_RATE = 24_000
VOICE = "heart"
_KEPT_SENTENCES = 256
_STEP = SAMPLE_RATE // 100
_AUDIBLE = 0.004  # of full scale
_LEAD, _TRAIL = SAMPLE_RATE * 3 // 100, SAMPLE_RATE * 22 // 100

Wave = npt.NDArray[np.float32]


class Speaker:
    """Text to speech, English; safe to use from several threads."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        # An agent says the same few sentences in every call: they cost nothing the second time.
        self._render = lru_cache(maxsize=_KEPT_SENTENCES)(self._synthesize)

    @classmethod
    def load(cls) -> Speaker:
        """Return the voice that comes inside the package; nothing is ever downloaded.

        Raises:
            EmbeddedSpeechMissing: the extra is not installed.
        """
        hibari = require("hibari")
        bundled = require("hibari.voices").voice_path(VOICE, download_missing=False)
        engine = hibari.Hibari(voice=VOICE, model=bundled, threads=1)
        _ = engine.g2p  # built on first use otherwise, which would cost the first turn 0.3 s
        return cls(engine)

    def sentences(self, text: str) -> list[str]:
        """Return `text` as the voice will cut it."""
        return [str(sentence) for sentence in self._engine.split_sentences(text)]

    def stream(self, text: str) -> Iterator[bytes]:
        """Yield 16-bit mono 24 kHz PCM, a block per sentence as soon as it is rendered."""
        for sentence in self.sentences(text):
            pcm = self._render(sentence)
            if pcm:
                yield pcm

    def _synthesize(self, sentence: str) -> bytes:
        with self._lock:
            wave = self._engine(sentence, speed=1.0, seed=0)
        pcm: bytes = (np.clip(_trim(wave), -1.0, 1.0) * 32_767).astype("<i2").tobytes()
        return pcm


def _trim(wave: Wave) -> Wave:
    """Cut the silence around a sentence to what a speaker's breath takes.

    The voice renders 0.3 s of silence before each sentence and 0.5 s after it: the one would
    delay every reply, both together would pass for the end of the turn between two sentences.
    """
    steps = wave[: wave.size // _STEP * _STEP].reshape(-1, _STEP)
    loud = np.flatnonzero(np.abs(steps).max(axis=1, initial=0.0) > _AUDIBLE)
    if loud.size == 0:
        return wave[:0]
    first = max(0, int(loud[0]) * _STEP - _LEAD)
    return wave[first : (int(loud[-1]) + 1) * _STEP + _TRAIL]
