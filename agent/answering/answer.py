"""Who answered, and what made that known."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from control_plane.domain.events import AttemptResult


class Engine(StrEnum):
    """What decided."""

    WORDS = "words"
    TONES = "tones"
    TIMING = "timing"
    MODEL = "model"  # and that they spoke for long
    MEANING = "meaning"  # of what they said at length, and that silence followed


class Answer(Struct, frozen=True):
    """Who answered, by what, and since when that is known.

    Attributes:
        is_machine: nobody to talk with; of `unknown`: the network, a fax.
        takes_message: a voicemail with room.
        at_s: seconds since the answer.
    """

    result: AttemptResult
    engine: Engine
    evidence: str
    at_s: float
    is_machine: bool = True
    takes_message: bool = True
