"""The test ear itself: it must know its phrases through a phone line and no others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.listener.phrase_bank import ACCEPT, PhraseBank, texts, utterances

pytestmark = pytest.mark.unit

PHRASES = [
    "What are your opening hours?",
    "How much does a cleaning cost?",
    "We are open from nine to five.",
    "My number is four two seven nine one.",
    "Thank you for calling. Goodbye.",
]
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def speaker() -> object:
    from speech.offline.voice import Speaker

    return Speaker.load()


@pytest.fixture(scope="module")
def bank() -> PhraseBank:
    return PhraseBank(PHRASES)


def spoken(speaker: object, text: str) -> Floats:
    pcm = b"".join(speaker.stream(text))  # type: ignore[attr-defined]
    return np.frombuffer(pcm, np.int16).astype(np.float64) / 32_768


def phone(sound: Floats) -> Floats:
    """24 kHz → 8 kHz → mu-law and back."""
    taps = np.arange(-48, 49)
    kernel = np.sinc(taps * 0.9 / 3) * np.hamming(taps.size)
    narrow = np.convolve(sound, kernel / kernel.sum(), mode="same")[::3]
    coded = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    coded = np.round(coded * 127) / 127
    return np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255


def lost(sound: Floats) -> Floats:
    """3 % of 20 ms packets lost at 8 kHz."""
    damaged = sound.copy()
    rng = np.random.default_rng(1)
    for start in range(0, sound.size - 160, 160):
        if rng.random() < 0.03:
            damaged[start : start + 160] = 0
    return damaged


@pytest.mark.parametrize("line", ["clean", "phone", "loss", "noise", "shifted"])
def test_knows_every_phrase(bank: PhraseBank, speaker: object, line: str) -> None:
    for phrase in PHRASES:
        sound, rate = spoken(speaker, phrase), 24_000
        if line != "clean":
            sound, rate = phone(sound), 8_000
        if line == "loss":
            sound = lost(sound)
        if line == "noise":
            noise = np.random.default_rng(2).normal(0, sound.std() / 10, sound.size)
            sound = sound + noise
        if line == "shifted":
            sound = np.concatenate([np.zeros(1_000), 0.3 * sound[200:], np.zeros(777)])
        heard = bank.hear(sound, rate)
        assert heard.phrase == phrase, heard


def test_knows_no_decoy(bank: PhraseBank, speaker: object) -> None:
    others = [
        "My number is four two seven nine two.",
        "We are open from nine to six.",
        "How much does a filling cost?",
        "Thank you for waiting. Goodbye.",
        "I have never said this before.",
    ]
    for text in others:
        assert bank.hear(phone(spoken(speaker, text)), 8_000).phrase is None


def test_hears_a_conversation(bank: PhraseBank, speaker: object) -> None:
    quiet = np.zeros(8_000)
    parts: list[Floats] = [quiet]
    for phrase in PHRASES[:3]:
        parts += [phone(spoken(speaker, phrase)), quiet]
    recording = np.concatenate(parts)
    recording = recording + np.random.default_rng(3).normal(0, 1e-4, recording.size)
    assert len(utterances(recording, 8_000)) == 3
    assert texts(bank.hear_all(recording, 8_000)) == PHRASES[:3]
    assert bank.best_in(recording, 8_000, PHRASES[1]) >= ACCEPT
    assert bank.best_in(recording, 8_000, PHRASES[3]) < ACCEPT


def test_silence_is_no_utterance() -> None:
    assert utterances(np.zeros(16_000), 8_000) == []
