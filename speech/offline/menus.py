"""Telephone menus, as a machine reads them out: which key leads on, or that it is not time yet."""

from __future__ import annotations

import re

import msgspec

from speech.offline.words import telling

SEND_DTMF, SKIP_TURN = "send_dtmf", "skip_turn"
_NAMES = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "to": "2", "too": "2", "three": "3",
    "four": "4", "for": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "star": "*", "asterisk": "*", "pound": "#", "hash": "#", "*": "*", "#": "#",
}  # fmt: skip
_HEARD_AS = ("to", "too", "for")  # a recogniser takes the words for these, at the end of an option
_SURE = "|".join(name for name in _NAMES if name.isalpha() and name not in _HEARD_AS)
_KEY = rf"(?:the )?(?P<key>\d\b|\*|#|(?:{_SURE})\b|(?:to|too|for)(?=[.,;:!?]|$))"
_PRESS = r"(?:please )?\b(?:press|dial|select|choose|enter)\b"
_LABEL = r"(?P<label>[^.,;:!?]{2,80}?)"
_OPTIONS = (
    re.compile(rf"\b(?:for|to) {_LABEL},? {_PRESS} {_KEY}", re.IGNORECASE),
    re.compile(rf"{_PRESS} {_KEY},? (?:for|to) {_LABEL}(?=[.,;:!?]|$)", re.IGNORECASE),
)
_ASKS = re.compile(rf"{_PRESS} {_KEY}", re.IGNORECASE)
_WAITS = re.compile(
    r"\b(?:please (?:hold|wait|stay|listen)|hold the line|stay on the line|one moment|"
    r"your call is important|next available|all (?:of )?our (?:agents|lines|representatives)|"
    r"you pressed|connecting you|being connected|this call may be recorded|"
    r"menu options have changed|following options)\b",
    re.IGNORECASE,
)
_ONWARD = frozenset(
    ["operator", "representative", "reception", "receptionist", "somebody", "someone", "person",
     "human", "agent", "advisor", "colleague", "staff", "else", "continue", "proceed"]
)  # fmt: skip


class Option(msgspec.Struct, frozen=True):
    """A key, and what it is for."""

    key: str
    label: str


class Step(msgspec.Struct, frozen=True):
    """What to do about what a machine said: a key to press; null: listen on."""

    key: str | None


def options(said: str) -> list[Option]:
    """Return the options that a menu's words name, in their order."""
    found = {
        match.start(): Option(_key(match["key"]), match["label"].strip())
        for form in _OPTIONS
        for match in form.finditer(said)
    }
    return [found[at] for at in sorted(found)]


def step(said: str, instructions: str) -> Step | None:
    """Return what a machine's words ask for; null: they are no machine's.

    Of a menu's options the one is taken whose words the instructions share most, then one that
    leads to somebody, or on.
    """
    found = options(said)
    if found:
        wanted = telling(instructions)
        best = max(found, key=lambda each: _worth(each, wanted))
        return Step(best.key if _worth(best, wanted) else None)
    if _WAITS.search(said):
        return Step(None)
    asked = _ASKS.search(said)
    return Step(_key(asked["key"])) if asked is not None else None


def _worth(option: Option, wanted: set[str]) -> int:
    words = telling(option.label)
    return 2 * len(words & wanted) + bool(_ONWARD & set(option.label.lower().split()))


def _key(name: str) -> str:
    return _NAMES.get(name.lower(), name)
