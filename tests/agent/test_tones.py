"""Tones of machines, made here by their frequencies, and sound that is none of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from agent.answering.tones import Tone, ToneDetector
from speech.offline.voice import SAMPLE_RATE, Speaker

pytestmark = pytest.mark.unit

RATE = 16_000
Sound = npt.NDArray[np.float64]


def tone(*hz: float, seconds: float, level: float = 6_000.0) -> Sound:
    at = np.arange(round(RATE * seconds)) / RATE
    return np.asarray(sum(level * np.sin(2 * np.pi * each * at) for each in hz))


def silence(seconds: float) -> Sound:
    return np.zeros(round(RATE * seconds))


def heard(*parts: Sound, noise: float = 30.0) -> list[tuple[Tone, float]]:
    """Return the tones that are told, and when (s)."""
    sound = np.concatenate((*parts, silence(0.5)))
    sound = sound + noise * np.random.default_rng(7).standard_normal(len(sound))
    samples = np.clip(sound, -32_768, 32_767).astype(np.int16).tobytes()
    detector, told = ToneDetector(RATE), []
    for start in range(0, len(samples), 640):
        found = detector.hear(samples[start : start + 640])
        told += [(each, (start + 640) / 2 / RATE) for each in found]
    return told


@pytest.mark.parametrize("hz", [440, 620, 850, 950, 1_000, 1_400, 2_000])
def test_a_beep_is_told_once_it_is_over(hz: float) -> None:
    [(found, at)] = heard(silence(0.5), tone(hz, seconds=0.4))
    assert found is Tone.BEEP
    assert at == pytest.approx(0.9, abs=0.06)


def test_a_beep_in_noise_of_the_line_is_one() -> None:
    assert [each for each, _ in heard(tone(1_000, seconds=0.3), noise=300.0)] == [Tone.BEEP]


@pytest.mark.parametrize(
    "sound",
    [
        tone(1_000, seconds=0.1),
        tone(697, 1_209, seconds=0.4),  # a key
        tone(440, 480, seconds=2.0),  # ring-back
        tone(350, 440, seconds=1.0),  # a dial tone
        tone(1_000, seconds=0.5, level=40.0),
        tone(220, 440, 660, seconds=0.6),  # somebody hums
        np.concatenate([tone(hz, seconds=0.06) for hz in range(500, 1_500, 50)]),  # whistles
    ],
)
def test_what_is_no_beep_is_told_as_none(sound: Sound) -> None:
    assert heard(sound) == []


def test_an_endless_tone_is_waited_for_no_longer() -> None:
    [(found, at)] = heard(tone(1_000, seconds=8.0))
    assert (found, at) == (Tone.BEEP, pytest.approx(3.0, abs=0.1))


def test_three_rising_tones_are_the_network() -> None:
    parts = [tone(hz, seconds=s) for hz, s in ((913.8, 0.276), (1_370.6, 0.276), (1_776.7, 0.38))]
    assert Tone.SPECIAL_INFORMATION in [each for each, _ in heard(*parts)]
    apart = [*itertools.chain.from_iterable((part, silence(0.5)) for part in parts)]
    assert Tone.SPECIAL_INFORMATION not in [each for each, _ in heard(*apart)]


def test_fax_and_busy_are_told_while_they_last() -> None:
    assert heard(tone(2_100, seconds=2.6))[0] == (Tone.FAX, pytest.approx(0.8, abs=0.1))
    busy = (tone(480, 620, seconds=0.5), silence(0.5))
    assert {each for each, _ in heard(*busy, *busy)} == {Tone.BUSY}


@pytest.fixture(scope="module")
def say() -> Callable[[str], Sound]:
    speaker = Speaker.load()

    def spoken(text: str) -> Sound:
        pcm = np.frombuffer(b"".join(speaker.stream(text)), np.int16).astype(np.float64)
        at = np.arange(0, len(pcm), SAMPLE_RATE / RATE)
        return np.interp(at, np.arange(len(pcm)), pcm)

    return spoken


def test_speech_has_no_tones(say: Callable[[str], Sound]) -> None:
    text = "Oh, we are so sorry. You have reached the voicemail of Lou Moore. Who, you? Aaah, ooh."
    assert heard(say(text), noise=0.0) == []
