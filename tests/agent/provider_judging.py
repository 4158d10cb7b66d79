"""What was wrong with a call whose provider failed, judged by what its caller heard."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.agent.provider_rows import ANSWER, FILLER, GREETING, LONGER, NOT_CAUGHT, SORRY, Row
from tests.listener.phrase_bank import PhraseBank, utterances
from tests.system.far_end import without_silence

HEARD = 0.85
"""Calls at the same time on a busy machine: sentences come a little warped."""
MOST_SILENCE_S = 3.0
BYE_S = 5.0
Samples = npt.NDArray[np.int16]


class Held(Struct, frozen=True, kw_only=True):
    """A call that is over; instants are in seconds since it was answered.

    Args:
        heard: what the caller heard, mono at `rate`.
        asked: when the caller spoke, from and to.
        over_at: when it ended; `ended`: by whom and why.
        said: the transcript.
    """

    heard: Samples
    rate: int
    asked: list[tuple[float, float]]
    over_at: float
    ended: tuple[str, str | None]
    detail: str
    said: list[str]


class Ear:
    """The independent ear, a second at a time: on a busy machine a long sentence slips often."""

    def __init__(self, speaker: Speaker) -> None:
        phrases = (GREETING, ANSWER, FILLER, LONGER, SORRY, NOT_CAUGHT)
        self._parts = {phrase: _seconds_of(speaker, phrase) for phrase in phrases}
        sounds = {
            f"{phrase} {n}": part
            for phrase, parts in self._parts.items()
            for n, part in enumerate(parts)
        }
        self._bank = PhraseBank(sounds, [], speak=sounds.__getitem__)

    def score(self, held: Held, phrase: str) -> float:
        """Return how well `phrase` is heard, 0 to 1."""
        names = [f"{phrase} {n}" for n in range(len(self._parts[phrase]))]
        scores = (self._bank.best_in(held.heard, held.rate, name) for name in names)
        return sum(scores) / len(names)


def _seconds_of(speaker: Speaker, phrase: str) -> list[npt.NDArray[np.float64]]:
    pcm = np.frombuffer(b"".join(speaker.stream(phrase)), np.int16).astype(np.float64)
    pcm = without_silence(pcm)
    return np.array_split(pcm, max(1, round(pcm.size / SAMPLE_RATE)))


def wrongs(row: Row, held: Held, ear: Ear) -> list[str]:
    """Return what is wrong with the call; nothing, when the row's promise was kept."""
    found = _silences(row, held)
    for phrase in (GREETING, *row.heard):
        score = ear.score(held, phrase)
        if score < HEARD:
            found.append(f"{phrase!r} was not heard ({score:.2f})")
    found += [f"{text!r} was heard" for text in row.unheard if ear.score(held, text) >= HEARD]
    found += [f"{text!r} is not in the transcript" for text in row.said if text not in held.said]
    if held.ended != (("system", "provider_failed") if row.detail else ("user", None)):
        found.append(f"it ended {held.ended}")
    found += [
        f"{part!r} is not in {held.detail!r}" for part in row.detail if part not in held.detail
    ]
    if found:
        found.append(f"transcript {held.said}, detail {held.detail!r}, sounds {_sounds(held)}")
    return found


def _sounds(held: Held) -> list[tuple[str, float, float]]:
    """Return who was heard from when to when."""
    parts = utterances(held.heard, held.rate, pause=0.25)
    ours = [("agent", part.start, part.end) for part in parts]
    theirs = [("caller", began, ended) for began, ended in held.asked]
    return sorted(
        [(who, round(float(a), 2), round(float(b), 2)) for who, a, b in (*ours, *theirs)],
        key=lambda sound: sound[1],
    )


def _silences(row: Row, held: Held) -> list[str]:
    """Return the silences that are too long: those in which the agent owed words."""
    sounds = _sounds(held)
    asked = next((end for who, _, end in sounds if who == "caller"), None)
    if asked is None:
        return ["the caller never spoke"]
    found, quiet_from = [], asked
    for who, start, end in sounds:
        if end <= asked:
            continue
        gap = start - quiet_from
        if who == "agent" and gap > MOST_SILENCE_S:
            found.append(f"{gap:.1f} s of silence at {quiet_from:.1f} s")
        quiet_from = max(quiet_from, end)
    if row.detail and held.over_at - quiet_from > BYE_S:
        found.append(f"{held.over_at - quiet_from:.1f} s from the apology to the end")
    return found
