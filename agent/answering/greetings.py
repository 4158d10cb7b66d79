"""Whose words a greeting is like: a machine's or a person's, by what it means.

The signs of `words` know phrases; this knows what is meant, in any of the languages, by the
embeddings that the offline dialogue uses as well. What people and machines say on answering, and
how that was learned, stands in `tools/greetings`. It takes milliseconds, and nothing leaves the
machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from control_plane.domain.events import AttemptResult
from speech.offline.meaning import Embeddings, Meaning

LEARNED = Path(__file__).with_name("greetings.npz")
"""What `python -m tools.greetings` makes of the sentences there."""
SURE = 0.8
"""Log-odds from which it is a machine. Of sentences that were left out in learning, 4 of 219 of
people come so far, and 178 of 208 of machines."""


class Kind(StrEnum):
    """A machine, by the file of the sentences that it says."""

    VOICEMAIL = "voicemails"
    FULL = "full"
    MENU = "menus"
    SCREENING = "screenings"
    NETWORK = "network"


class Likeness(Struct, frozen=True):
    """What a greeting is most like.

    Attributes:
        takes_message: a voicemail with room.
    """

    result: AttemptResult
    takes_message: bool = True


_MACHINES: Mapping[Kind, Likeness] = {
    Kind.VOICEMAIL: Likeness(AttemptResult.VOICEMAIL),
    Kind.FULL: Likeness(AttemptResult.VOICEMAIL, takes_message=False),
    Kind.MENU: Likeness(AttemptResult.IVR),
    Kind.NETWORK: Likeness(AttemptResult.UNKNOWN),
}


class Learned(Struct, frozen=True):
    """Logistic regressions over embeddings: a machine and not a person, each kind and no other.

    Attributes:
        weights: a row for a machine, then one for each kind; a number for each of an embedding.
        biases: log-odds of each row for an embedding of zeros.
        of: a digest of all that it was learned from.
    """

    weights: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    of: str

    def kind(self, vector: npt.NDArray[np.float32]) -> Kind | None:
        """Return which machine says what has this embedding; null: probably none."""
        machine, *kinds = self.weights @ vector + self.biases
        return tuple(Kind)[int(np.argmax(kinds))] if machine >= SURE else None


@cache
def learned() -> Learned:
    """Return what was learned, from its file."""
    with np.load(LEARNED) as kept:
        return Learned(weights=kept["weights"], biases=kept["biases"], of=str(kept["of"]))


class GreetingComparison:
    """Compares greetings with what was learned, where the machine has embeddings to do so.

    Args:
        thread: where that is done.
    """

    def __init__(self, meaning: Meaning, thread: Executor) -> None:
        self._meaning = meaning if isinstance(meaning, Embeddings) else None
        self._thread = thread

    async def get_likeness(self, greeting: str) -> Likeness | None:
        """Return `likeness`, while the call goes on."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.likeness, greeting)

    def likeness(self, greeting: str) -> Likeness | None:
        """Return which machine's words these are like; null: a person's, or nobody can tell.

        A telephone that asks who calls and a receptionist say the same, so that likeness alone
        takes nobody for one.
        """
        if self._meaning is None:
            return None
        kind = learned().kind(self._meaning.vector(greeting))
        return None if kind is None else _MACHINES.get(kind)
