"""Which frames of a call's sound are voiced, by detectors that share nothing.

For everybody: energy with hysteresis. For the caller: where the phrase that was played lies, by
correlation with it. For an agent whose stub voice is a tone: the share of that tone. The Silero
network is none of them: it goes on for 60 to 260 ms after speech that ends at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

RATE, FRAME, FRAME_S = 8_000, 160, 0.02
TONE_HZ = 440.0  # of the stub voices
LATE_S = 0.3  # for how long after its file has been played a phrase may still be on its way
_ON_DB, _OFF_DB = -38.0, -46.0
_AUDIBLE = 30.0  # RMS of 32,768: below it there is nothing for a share to be of
_TONE_SHARE = 0.2  # of white noise it is 0.01; of a frame a fifth of which is tone, this
_LIKE = 0.8  # normalized correlation of a phrase with itself behind G.711
_SHARE_OF_FRAME = 0.25
_PCMU, _PCMA = 0, 8

Times = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int16]
Voiced = npt.NDArray[np.bool_]


class Stream(Struct, frozen=True):
    """One direction: the frames in the order in which they arrived.

    Attributes:
        lost: packets that never came, by their sequence numbers.
    """

    at: Times
    frames: Frames
    lost: int = 0


class Phrase(Struct, frozen=True):
    """What the phone played, and when it began to and was done, in seconds since the epoch."""

    began: float
    ended: float
    samples: npt.NDArray[np.int16]


def by_energy(frames: Frames) -> Voiced:
    """Mark frames loud enough: on at one level, off only below a lower one."""
    with np.errstate(divide="ignore"):
        levels = 20 * np.log10(_rms(frames) / 32_768)
    voiced, on = np.zeros(len(levels), np.bool_), False
    for index, level in enumerate(levels):
        on = bool(level > (_OFF_DB if on else _ON_DB))
        voiced[index] = on
    return voiced


def by_tone(frames: Frames) -> Voiced:
    """Mark frames most of whose energy is that of the stub voices' tone, however loud."""
    instants = np.arange(FRAME) / RATE
    wave = np.exp(-2j * np.pi * TONE_HZ * instants)
    whole = (frames.astype(np.float64) ** 2).sum(axis=1)
    at_tone = 2 * np.abs(frames @ wave) ** 2 / FRAME
    audible = _rms(frames) > _AUDIBLE
    voiced: Voiced = audible & (at_tone > _TONE_SHARE * np.maximum(whole, 1.0))
    return voiced


def by_phrases(heard: Stream, phrases: list[Phrase]) -> Voiced:
    """Mark the frames in which known phrases lie, found by correlation with what was played."""
    voiced = np.zeros(len(heard.at), np.bool_)
    for phrase in phrases:
        within = np.flatnonzero(
            (heard.at > phrase.began - LATE_S) & (heard.at < phrase.ended + LATE_S)
        )
        place = _place(heard.frames[within].reshape(-1), phrase.samples)
        if place is None:
            continue
        starts = np.arange(len(within)) * FRAME
        overlap = np.minimum(starts + FRAME, place + len(phrase.samples)) - np.maximum(
            starts, place
        )
        voiced[within[overlap > _SHARE_OF_FRAME * FRAME]] = True
    return voiced


def _place(among: npt.NDArray[np.int16], wanted: npt.NDArray[np.int16]) -> int | None:
    """Return where `wanted` lies in `among`, in samples; null where it does not."""
    if len(among) < len(wanted):
        return None
    size = len(among) + len(wanted)
    spectrum = np.fft.rfft(among, size) * np.conj(np.fft.rfft(wanted, size))
    likeness = np.fft.irfft(spectrum, size)[: len(among) - len(wanted) + 1]
    energy = np.concatenate([[0.0], np.cumsum(among.astype(np.float64) ** 2)])
    norms = np.sqrt((energy[len(wanted) :] - energy[: -len(wanted)]).clip(1.0))
    likeness /= norms * np.sqrt((wanted.astype(np.float64) ** 2).sum())
    best = int(likeness.argmax())
    return best if likeness[best] > _LIKE else None


def _rms(frames: Frames) -> npt.NDArray[np.float64]:
    squares: npt.NDArray[np.float64] = (frames.astype(np.float64) ** 2).mean(axis=1)
    return np.sqrt(squares)


def _mu_law() -> Frames:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_law() -> Frames:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    part, low = (code & 0x70) >> 4, (code & 0x0F) << 4
    size = np.where(part == 0, low + 8, (low + 0x108) << np.maximum(part - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


G711 = {_PCMU: _mu_law(), _PCMA: _a_law()}
"""Samples by RTP payload type, then by octet."""
