"""Tones of machines on the line: the beep of a voicemail, and those of the network.

Told from 40 ms at a time, every 20 ms, by how much of the sound lies at one frequency or two.
Frequencies: ITU-T Q.35 (special information tones), T.30 (fax), the North American precise tone
plan (busy, ring-back).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from msgspec import Struct

STEP_S = 0.02
_SIZE = 1024
_LOWEST_HZ, _HIGHEST_HZ = 300.0, 3_500.0
_LEAST_RMS = 150.0
"""Of 32,768: what is quieter is the line."""
_PURE = 0.93
"""Of the sound's energy at its frequency; a sung vowel has half of it in its overtones."""
_REACH = 4
"""Bins on each side that a tone fills."""
_STEADY_HZ = 18.0
_BEEP_S, _BEEP_MOST_S = 0.16, 3.0
_FAX_HZ, _FAX_S = 2_100.0, 0.8
_BUSY_HZ, _BUSY_S, _REACH_HZ = (480.0, 620.0), 0.4, 12.0
_RING_BACK_HZ = 460.0
"""Its two frequencies lie too near each other for 40 ms: it looks like one between them."""
_SIT_HZ = ((914.0, 985.0), (1_371.0, 1_429.0), (1_777.0, 1_777.0))
_SIT_REACH_HZ, _SIT_LEAST_S, _SIT_GAP_S = 30.0, 0.2, 0.1


class Tone(StrEnum):
    """What a machine lets be heard."""

    BEEP = "beep"
    SPECIAL_INFORMATION = "special_information"  # three rising ones: the number is not in service
    FAX = "fax"
    BUSY = "busy"


class _Sound(Struct, frozen=True):
    """What is steady in the sound now: one frequency (Hz), or the two of busy."""

    hz: float
    is_busy: bool = False


class ToneDetector:
    """Tells tones in the sound that it is given.

    Args:
        rate: Hz of the samples (mono int16).
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._step = round(rate * STEP_S) * 2
        self._rest = b""
        self._last: npt.NDArray[np.float64] = np.zeros(self._step // 2)
        self._window = np.hanning(self._step)
        low, high = (round(hz * _SIZE / rate) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
        self._band = slice(low, high)
        self._steps = 0
        self._sound: _Sound | None = None
        self._since = 0
        self._told = False
        self._three: list[int] = []
        """Which of the special information tones were heard, one right after the other."""
        self._ended = 0

    def hear(self, samples: bytes) -> list[Tone]:
        """Return the tones that these samples complete: a beep once it is over.

        Each of the special information tones is a beep, too, until the third has come.
        """
        whole = self._rest + samples
        cut = len(whole) - len(whole) % self._step
        self._rest = whole[cut:]
        found: list[Tone] = []
        for at in range(0, cut, self._step):
            piece = np.frombuffer(whole, np.int16, self._step // 2, at).astype(np.float64)
            found += self._next(self._what(np.concatenate((self._last, piece))))
            self._last = piece
            self._steps += 1
        return found

    def _what(self, sound: npt.NDArray[np.float64]) -> _Sound | None:
        """Return the tone in 40 ms of sound."""
        if np.sqrt(np.mean(sound**2)) < _LEAST_RMS:
            return None
        power = np.abs(np.fft.rfft(sound * self._window, _SIZE)) ** 2
        power[: self._band.start] = 0.0
        power[self._band.stop :] = 0.0
        total = float(power.sum())
        first, share = self._peak(power, total)
        if share >= _PURE:
            return _Sound(first)
        second, more = self._peak(power, total)
        if share + more < _PURE:
            return None
        heard = sorted((first, second))
        is_busy = all(abs(a - b) <= _REACH_HZ for a, b in zip(heard, _BUSY_HZ, strict=True))
        return _Sound(0.0, is_busy=True) if is_busy else None

    def _peak(self, power: npt.NDArray[np.float64], total: float) -> tuple[float, float]:
        """Return the strongest frequency (Hz) and its share; it is taken out of `power`."""
        if total <= 0.0:
            return 0.0, 0.0
        at = int(power.argmax())
        around = slice(max(0, at - _REACH), at + _REACH + 1)
        near = power[around]
        share = float(near.sum()) / total
        hz = float((near * np.arange(around.start, around.start + len(near))).sum() / near.sum())
        near[:] = 0.0
        return hz * self._rate / _SIZE, share

    def _next(self, now: _Sound | None) -> list[Tone]:
        before = self._sound
        if before is not None and now is not None and _is_same(before, now):
            return self._goes_on(before)
        found = self._over(before) if before is not None else []
        self._sound, self._since, self._told = now, self._steps, False
        return found

    def _goes_on(self, sound: _Sound) -> list[Tone]:
        lasted_s = (self._steps - self._since + 1) * STEP_S
        if self._told:
            return []
        if sound.is_busy:
            tone, enough = Tone.BUSY, lasted_s >= _BUSY_S
        elif abs(sound.hz - _FAX_HZ) <= _STEADY_HZ:
            tone, enough = Tone.FAX, lasted_s >= _FAX_S
        else:  # one that does not end is no beep, but who waits for its end waits for ever
            tone = Tone.BEEP
            enough = lasted_s >= _BEEP_MOST_S and not _is_ring_back(sound.hz)
        self._told = enough
        return [tone] if enough else []

    def _over(self, sound: _Sound) -> list[Tone]:
        lasted_s = (self._steps - self._since) * STEP_S
        if self._told or sound.is_busy or _is_ring_back(sound.hz):
            return []
        found = [Tone.BEEP] if lasted_s >= _BEEP_S else []
        which = _which_of_three(sound.hz) if lasted_s >= _SIT_LEAST_S else None
        if which is None or self._since - self._ended > _SIT_GAP_S / STEP_S:
            self._three.clear()
        if which is not None:
            self._three.append(which)
            self._ended = self._steps
        return [*found, Tone.SPECIAL_INFORMATION] if self._three == [0, 1, 2] else found


def _is_same(one: _Sound, other: _Sound) -> bool:
    return one.is_busy == other.is_busy and abs(one.hz - other.hz) <= _STEADY_HZ


def _is_ring_back(hz: float) -> bool:
    return abs(hz - _RING_BACK_HZ) <= _REACH_HZ


def _which_of_three(hz: float) -> int | None:
    for n, places in enumerate(_SIT_HZ):
        if any(abs(hz - place) <= _SIT_REACH_HZ for place in places):
            return n
    return None
