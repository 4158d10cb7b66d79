"""Who answered: a person, a voicemail, a menu; told from the words of the greeting.

LiveKit's answering machine detection asks its model by a tool, `save_prediction`; this is what
the scripted dialogue answers. A greeting that nothing gives away is a person's: nobody is hung up
on by one weak sign.
"""

from __future__ import annotations

import re
from typing import Literal

SAVE_PREDICTION = "save_prediction"

Answerer = Literal["human", "machine-ivr", "machine-vm", "machine-unavailable"]

_SIGNS: tuple[tuple[Answerer, re.Pattern[str]], ...] = (
    (
        "machine-unavailable",
        re.compile(
            r"mailbox (?:is full|that hasn't|has not|hasn't)|not (?:been )?set up|"
            r"(?:number|person) you (?:have )?(?:dialed|called|are calling).{0,40}"
            r"(?:not in service|disconnected|not available at the moment\. please try)",
            re.IGNORECASE,
        ),
    ),
    (
        "machine-ivr",
        re.compile(
            r"\bpress (?:\d|zero|one|two|three|four|five|six|seven|eight|nine|star|pound)\b|"
            r"\b(?:state|say|record) your name\b|\breason for (?:your )?call|"
            r"\bwhy you(?:'re| are) calling\b",
            re.IGNORECASE,
        ),
    ),
    (
        "machine-vm",
        re.compile(
            r"\bleave (?:a|your|me a) (?:message|name)|\bvoice ?mail\b|\bafter the (?:tone|beep)\b|"
            r"\b(?:can't|cannot|unable to) (?:come to|take|answer)\b.{0,30}\b(?:phone|call)|"
            r"\b(?:i|we)(?:'ll| will) (?:get|call) (?:back to you|you back)\b|"
            r"\brecord your message\b",
            re.IGNORECASE,
        ),
    ),
)


def answerer(greeting: str) -> Answerer:
    """Return who the words of a greeting belong to."""
    plain = greeting.replace("\u2019", "'")
    return next((kind for kind, sign in _SIGNS if sign.search(plain)), "human")
