"""The words that say what a sentence is about."""

from __future__ import annotations

import re

_SMALL = frozenset(
    """a about am an and any are at be by can could did do does for from get have hello hi how i if
    in is it know like many me much my need of okay on or our please say should so tell that the
    there they this to us want was we what when where which who why will with would you your
    """.split()  # noqa: SIM905  # a list of sixty strings is sixty lines
)
_TOPICS = {
    "hours": frozenset({"open", "clos", "hour"}),
    "price": frozenset(
        {"cost", "pric", "price", "expensiv", "charg", "fee", "dollar", "euro", "pound"}
    ),
    "place": frozenset({"locat", "addres", "address", "offic", "street", "plac"}),
}
"""Words, without their endings, that ask for the same thing."""


def telling(text: str) -> set[str]:
    """Return the words that say what `text` is about, without endings, by topic where known."""
    plain = text.lower().replace("'s", "").replace("how much", "price")
    words = re.findall(r"[a-z]+", plain)
    stems = {_stem(word) for word in words if word not in _SMALL and len(word) > 2}
    topics = {topic for topic, of_it in _TOPICS.items() if stems & of_it}
    return topics | {stem for stem in stems if not any(stem in _TOPICS[topic] for topic in topics)}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
