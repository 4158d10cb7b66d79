"""An instruction for one single reply: how to begin, or to say goodbye."""

from __future__ import annotations

import re

from speech.offline import phrases
from speech.offline.prompt import Knowledge, sayable

_QUOTED = re.compile(r"[\"“”](.+?)[\"“”]", re.DOTALL)
_LABEL = re.compile(
    r"(?:first sentence(?: instruction)?|say(?: exactly)?|speak)\s*:\s*(.+)$", re.I | re.S
)
_FAREWELL = re.compile(
    r"\b(?:good ?bye|farewell|end (?:of )?the (?:call|conversation)|hang up)\b", re.I
)
_BEGIN = re.compile(
    r"\b(?:begin|start|open|greet|first (?:sentence|message)|introduce|welcome)\b", re.IGNORECASE
)
_ORDER = re.compile(
    r"^(?:please\s+)?(?:greet|say|introduce|ask|tell|welcome|begin|start|open|speak|use|be|give|"
    r"thank|briefly|politely|warmly|explain|inform|identify|you|the|in|keep|do|generate)\b",
    re.IGNORECASE,
)
_ABOUT_TO_ASK = re.compile(
    r"\bask (?:them |the \w+ |him |her )?(?:if|whether|how|what|when|for)\b(.+)", re.I
)
_NOT_PASSED_ON = re.compile(r"\bcould not be (?:passed on|transferred|connected)\b", re.I)
_SILENT = re.compile(r"\b(?:silent|silence|not said anything|still there|no answer)\b", re.I)


def opening(aside: str, known: Knowledge, *, begun: bool) -> str | None:
    """Return what `aside` asks to be said, or null when it asks for nothing in particular.

    Args:
        aside: the instruction.
        begun: whether the agent has spoken before, so that this is no greeting.
    """
    text = sayable(aside)
    if _NOT_PASSED_ON.search(text):
        return phrases.NOT_PASSED_ON
    if _FAREWELL.search(text) and begun:
        return _literal(text) or phrases.CLOSINGS[0]
    if _SILENT.search(text) and begun:
        return _literal(text) or phrases.STILL_THERE
    if (literal := _literal(text)) is not None:
        return literal
    if begun or not (_BEGIN.search(text) or _ORDER.match(text)):
        return None
    return phrases.greetings(known)[0]


def _literal(text: str) -> str | None:
    """The very words to speak, where they are given: in quotation marks, or after a colon."""
    if quoted := _QUOTED.search(text):
        return quoted.group(1).strip()
    labelled = _LABEL.search(text)
    if labelled is None:
        return None
    words = labelled.group(1).strip()
    return None if not words or _ORDER.match(words) or _ABOUT_TO_ASK.search(words) else words
