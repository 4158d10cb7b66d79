"""The telephone of a bank: three levels of menus, a queue with music, a person at its end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from sip.carrier.line import Line
from sip.carrier.persona import PERSONAS, converse
from sip.carrier.scenarios import Scenario
from sip.carrier.senses import RATE, Pcm

KEY_S = 5.0
"""How long a menu waits for a key before it says everything again."""
TIMES = 3
"""So often a menu is said; then the bank hangs up."""
MUSIC_S = 5.0
_CHORDS = ((262.0, 330.0, 392.0), (220.0, 262.0, 330.0), (175.0, 220.0, 262.0))

REPEAT = "To hear this again, press star."
SILENT = "We did not receive an answer. Goodbye."
WRONG = "That is not an option."
QUEUE = "All our representatives are busy. Please stay on the line."
QUEUE_AGAIN = "Your call is important to us. Please stay on the line."
TAKEN = "Thank you for waiting. This is Kim. How can I help you?"


class Menu(msgspec.Struct, frozen=True):
    """What is said, and where each key leads; null: to the queue."""

    says: str
    keys: Mapping[str, Menu | None]


SOMEBODY = Menu(
    f"To leave a message, press one. To speak to a representative, press zero. {REPEAT}",
    {"0": None},
)
ACCOUNTS = Menu(
    "Accounts. For balances, press one. For statements, press two. "
    f"For anything else, press three. {REPEAT}",
    {"3": SOMEBODY},
)
ROOT = Menu(
    f"Welcome to Example Bank. For cards, press one. For accounts, press two. {REPEAT}",
    {"2": ACCOUNTS},
)


async def bank(line: Line, scenario: Scenario) -> None:
    """Let the caller find their way to the queue, and to a person."""
    await line.pause(0.5)
    menu: Menu | None = ROOT
    while menu is not None:
        key = await _request(line, menu.says, menu.keys)
        if key is None:
            await line.say(SILENT)
            await line.hang_up()
            return
        menu = menu.keys[key]
    for announcement in (QUEUE, QUEUE_AGAIN):
        await line.say(announcement)
        await line.play(music(MUSIC_S), "[music]")
    await line.say(TAKEN)
    await line.last_words()  # what was said to the music was said to nobody
    await converse(line, PERSONAS[scenario.persona])


async def _request(line: Line, says: str, keys: Mapping[str, Menu | None]) -> str | None:
    """Return the key that leads on; null where none came however often the menu was said."""
    for _ in range(TIMES):
        await line.say(says)
        while (key := await line.key(KEY_S)) is not None and key not in keys and key != "*":
            await line.say(WRONG)
        if key in keys:
            return key
    return None


def music(seconds: float) -> Pcm:
    """Return chords, half a second each, as a queue plays."""
    at = np.arange(int(0.5 * RATE)) / RATE
    bars = [
        sum(np.sin(2 * np.pi * hertz * at) for hertz in _CHORDS[bar % len(_CHORDS)])
        for bar in range(int(seconds / 0.5))
    ]
    sound: Pcm = (2_500 * np.concatenate(bars)).astype(np.int16)
    return sound
