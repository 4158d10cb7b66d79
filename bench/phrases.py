"""The phrases that a bench's telephones play: files whose first and last 10 ms are loud."""

from __future__ import annotations

import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np

from bench.tapped import Watch
from bench.voiced import RATE, Phrase
from speech.offline.voice import Speaker
from tests.providers.servers import ProviderServers
from tests.system.far_end import render, write_wav

_BLOCK = RATE // 100
_LOUD = 500.0  # RMS of 32,768
_INTO_PHRASE_S = 0.4  # every phrase is longer
_COPIES = 8  # a phrase in which the recogniser finds several utterances is heard as often


class Phrases:
    """Texts as files, and files as texts and samples."""

    def __init__(self, speaker: Speaker, folder: Path) -> None:
        self._speaker = speaker
        self._folder = folder
        self._files: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._samples: dict[str, Any] = {}

    def file(self, text: str) -> str:
        """Return the WAV file of `text` without its soft ends, which no detector could place."""
        if text in self._files:
            return self._files[text]
        path = render(self._speaker, self._folder, text, trimmed=True)
        with wave.open(path, "rb") as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        self._samples[path] = kept = without_soft_ends(samples)
        write_wav(path, kept)
        self._files[text], self._texts[path] = path, text
        return path

    def played(self, said: list[dict[str, Any]]) -> list[Phrase]:
        """Return what a phone's `said` events are about."""
        return [Phrase(s["began"], s["ended"], self._samples[s["file"]]) for s in said]

    def heard_by(self, stubs: ProviderServers) -> Watch:
        """Return a watcher that lets the stub recogniser claim the phrase that a phone plays.

        So whatever an arm takes for one utterance or for two, the words are the right ones. The
        words change a while into the phrase: what is transcribed before is still the one before.
        """

        def watch(event: dict[str, Any]) -> None:
            if event["event"] == "saying":
                texts = [self._texts[event["file"]]] * _COPIES
                change = threading.Timer(
                    _INTO_PHRASE_S, stubs.controls.hear, ("openai.stt", *texts)
                )
                change.daemon = True
                change.start()

        return watch


def without_soft_ends(samples: Any) -> Any:
    """Return `samples` from the first loud 10 ms to the last."""
    whole = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
    loud = np.flatnonzero(np.sqrt((whole**2).mean(axis=1)) > _LOUD)
    return samples[loud[0] * _BLOCK : (loud[-1] + 1) * _BLOCK]
