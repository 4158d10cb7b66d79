"""The independent ear of system tests: is this audio one of the phrases we expect?

Not a speech recogniser: it compares the pattern of a sound with the patterns of known phrases as
the embedded voice says them, and answers "unknown" for anything else. It shares no code and no
model with the recogniser it checks. Method and figures: Offhook's offline speech reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speech.offline.voice import SAMPLE_RATE as VOICE_RATE
from speech.offline.voice import Speaker

Floats = npt.NDArray[np.float64]
Pattern = Floats
"""20 ms steps × bands, each band's mean removed, the whole of unit length."""

ACCEPT = 0.93
RATE = 8_000
STEP = RATE // 50
WINDOW = 256
BANDS = 20
FLOOR = 10**-3.5
TRIM = 2.5
"""Powers of ten below the loudest. With these, of 30 phrases among 62 over mu-law, 3 % packet loss
and 20 dB noise, the true one scores 0.97 or more and the best wrong one 0.81 or less."""
SLIP = 5
"""Steps (of 20 ms) that a jitter buffer may drop or insert within one sentence."""
LOWEST_HZ, HIGHEST_HZ = 250.0, 3_300.0
DECOYS = Path(__file__).with_name("decoys.txt")


@dataclass(frozen=True)
class Match:
    """What was heard: a phrase of the bank, or none; `score` is that of the best candidate."""

    phrase: str | None
    score: float


@dataclass(frozen=True)
class Utterance:
    """A stretch of sound between two pauses, in seconds from the start."""

    start: float
    end: float


class PhraseBank:
    """Recognises `phrases` among the decoys that ship beside it."""

    def __init__(
        self,
        phrases: Iterable[str],
        decoys: Iterable[str] | None = None,
        *,
        speak: Callable[[str], Floats] | None = None,
    ) -> None:
        """Render every phrase once.

        Args:
            phrases: what may be said.
            decoys: what must not be mistaken for it; the shipped list when null.
            speak: the voice, as samples at 24 kHz; the embedded one when null.
        """
        voice = speak or _embedded_voice()
        shipped = DECOYS.read_text().splitlines() if decoys is None else decoys
        self._phrases = list(dict.fromkeys(phrases))
        wanted = set(self._phrases)
        others = [line for line in shipped if line.strip() and line not in wanted]
        self._patterns = {
            text: pattern_of(voice(text), VOICE_RATE) for text in [*self._phrases, *others]
        }

    def hear(self, samples: npt.ArrayLike, rate: int) -> Match:
        """Return which phrase one utterance is, or none when the best is a decoy or too far off."""
        sound = np.asarray(samples, np.float64)
        # The 20 ms grid falls on the sound anywhere: the best of four places counts.
        placed = [pattern_of(sound[rate // 200 * place :], rate) for place in range(4)]
        scores = {
            text: max(similarity(heard, pattern) for heard in placed)
            for text, pattern in self._patterns.items()
        }
        best = max(scores, key=scores.__getitem__)
        known = best in self._phrases and scores[best] >= ACCEPT
        return Match(best if known else None, scores[best])

    def best_in(self, samples: npt.ArrayLike, rate: int, phrase: str) -> float:
        """Return how well `phrase` fits the best place of a longer recording, 0 to 1."""
        pattern = self._patterns.get(phrase)
        if pattern is None:
            raise KeyError(phrase)
        sound = np.asarray(samples, np.float64)
        return max(
            _best_place(_bands(sound[rate // 200 * place :], rate), pattern) for place in range(4)
        )

    def hear_all(self, samples: npt.ArrayLike, rate: int) -> list[tuple[Utterance, Match]]:
        """Return every utterance of a recording with what it is."""
        sound = np.asarray(samples, np.float64)
        return [
            (part, self.hear(sound[int(part.start * rate) : int(part.end * rate)], rate))
            for part in utterances(sound, rate)
        ]


def utterances(
    samples: npt.ArrayLike, rate: int, *, pause: float = 0.45, least: float = 0.15
) -> list[Utterance]:
    """Return the stretches of sound parted by at least `pause` seconds of quiet."""
    sound = np.asarray(samples, np.float64)
    step = rate // 50
    loud = _loudness(sound, step)
    active = np.flatnonzero(loud > _threshold(loud))
    if active.size == 0:
        return []
    groups = np.split(active, np.flatnonzero(np.diff(active) > pause * 50) + 1)
    return [
        Utterance(max(0.0, group[0] / 50 - 0.04), (group[-1] + 3) / 50)
        for group in groups
        if (group[-1] - group[0]) / 50 >= least
    ]


def pattern_of(samples: Floats, rate: int) -> Pattern:
    """Return the pattern of one utterance, silence before and after it removed."""
    bands = _bands(samples, rate)
    loud = bands.max(axis=1)
    active = np.flatnonzero(loud > loud.max() - TRIM)
    return _normal(bands[active[0] : active[-1] + 1])


def similarity(heard: Pattern, known: Pattern) -> float:
    """Return the best correlation over a small slide, times how well the lengths agree."""
    short, long = sorted((heard, known), key=len)
    ratio = len(short) / len(long)
    if ratio < 0.8:
        return 0.0
    slides = [
        float(np.vdot(_normal(long[start : start + len(short)]), short))
        for start in range(len(long) - len(short) + 1)
    ]
    return max(slides) * ratio**0.25


def _best_place(bands: Floats, pattern: Pattern) -> float:
    """Return the best correlation of `pattern` anywhere in `bands`, with at most one slip.

    A receiver's jitter buffer may drop or insert up to `SLIP` steps once in a sentence; a person
    does not notice, a rigid comparison would.
    """
    size = len(pattern)
    if len(bands) < size:
        return similarity(_normal(bands), pattern)
    windows = np.lib.stride_tricks.sliding_window_view(bands, size, axis=0).transpose(0, 2, 1)
    centred = windows - windows.mean(axis=1, keepdims=True)
    dots = np.cumsum(np.einsum("pib,ib->pi", centred, pattern), axis=1)
    powers = np.cumsum(np.einsum("pib,pib->pi", centred, centred), axis=1)
    best = float(np.max(dots[:, -1] / np.sqrt(powers[:, -1] + 1e-12)))
    for slip in range(1, SLIP + 1):
        for first, second in (
            (slice(None, -slip), slice(slip, None)),
            (slice(slip, None), slice(None, -slip)),
        ):
            dot = dots[first] + dots[second][:, -1:] - dots[second]
            power = powers[first] + powers[second][:, -1:] - powers[second]
            best = max(best, float(np.max(dot / np.sqrt(power + 1e-12))))
    return best


def _normal(bands: Floats) -> Pattern:
    centred = bands - bands.mean(axis=0)
    size = float(np.linalg.norm(centred))
    return centred / size if size else centred


def _bands(samples: Floats, rate: int) -> Floats:
    """Log power in 20 mel bands every 20 ms."""
    sound = _resample(samples, rate)
    if sound.size < WINDOW:
        sound = np.pad(sound, (0, WINDOW - sound.size))
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    energy = power @ _filters().T
    # The floor keeps the noise of a codec, 35 dB below the speech, from looking like a pattern.
    logs: Floats = np.log10(np.maximum(energy, energy.max() * FLOOR + 1e-9))
    return logs


@lru_cache(maxsize=1)
def _filters() -> Floats:
    def mel(hertz: float) -> float:
        return float(2_595 * np.log10(1 + hertz / 700))

    edges = 700 * (10 ** (np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2) / 2_595) - 1)
    at = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def _resample(samples: Floats, rate: int) -> Floats:
    sound = samples / 32_768 if np.abs(samples).max(initial=0.0) > 2 else samples
    if rate == RATE:
        return sound
    if rate % RATE:
        raise ValueError(f"{rate} Hz is not a multiple of {RATE}")
    factor = rate // RATE
    # A windowed sinc at 3.6 kHz: without it, speech above 4 kHz would fold into the bands.
    taps = np.arange(-16 * factor, 16 * factor + 1)
    kernel = np.sinc(taps * 0.9 / factor) * np.hamming(taps.size)
    return np.convolve(sound, kernel / kernel.sum(), mode="same")[::factor]


def _loudness(sound: Floats, step: int) -> Floats:
    whole = sound[: sound.size // step * step].reshape(-1, step)
    return np.sqrt((whole**2).mean(axis=1)) if whole.size else np.zeros(0)


def _threshold(loud: Floats) -> float:
    """35 dB below the loudest, and clear of the recording's own noise."""
    return max(float(loud.max()) * 0.018, 3 * float(np.percentile(loud, 5)), 1e-6)


def _embedded_voice() -> Callable[[str], Floats]:
    speaker = Speaker.load()

    def speak(text: str) -> Floats:
        pcm = b"".join(speaker.stream(text))
        return np.frombuffer(pcm, np.int16).astype(np.float64)

    return speak


def texts(matches: Sequence[tuple[Utterance, Match]]) -> list[str]:
    """Return the phrases heard, in order, unknown ones left out."""
    return [match.phrase for _, match in matches if match.phrase is not None]
