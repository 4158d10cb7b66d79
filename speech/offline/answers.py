"""Which FAQ answer or fact, if any, answers a question."""

from __future__ import annotations

import re

from speech.offline.meaning import Meaning
from speech.offline.numbers import heard_moment
from speech.offline.prompt import Knowledge, sayable
from speech.offline.words import telling

_OPENERS = (
    "what time",
    "how much",
    "how long",
    "how many",
    "what",
    "when",
    "where",
    "who",
    "how",
    "why",
)
_ASKING = re.compile(
    r"\?|^(?:(?:hello|hi|okay|ok|and|so|well|yes|no|please|great|thanks?|thank you|also|then)\W+)*"
    r"(?:what|when|where|who|whom|which|how|why|is|are|am|do|does|did|can|could|would|will|should|"
    r"may|have you|has|tell me|i(?: would|'d)? (?:like|want|need) to know|i have a question)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(r"\$|€|£|\b(?:dollars?|euros?|pounds?|cents?|free)\b", re.IGNORECASE)
_PLACE = re.compile(r"\b(?:street|avenue|road|located|address|floor|city|next to|square)\b", re.I)
_PERIOD = re.compile(
    r"\b(?:open|close[sd]?|from|until|hours?|minutes?|daily|week)\b", re.IGNORECASE
)


def is_question(text: str) -> bool:
    """Whether the caller wants to know something."""
    return _ASKING.search(text.strip()) is not None


def best_answer(text: str, known: Knowledge, meaning: Meaning) -> str | None:
    """Return the answer to `text` from the FAQ or the facts, or null when none is near enough."""
    asked = [question for question, _ in known.faq]
    candidates = [*asked, *known.facts]
    if not candidates:
        return None
    scores = meaning.scores(text, candidates)
    ranks = [
        score + meaning.spread * _fit(text, candidate, question=index < len(asked))
        for index, (score, candidate) in enumerate(zip(scores, candidates, strict=True))
    ]
    best = max(range(len(ranks)), key=ranks.__getitem__)
    others = [rank for index, rank in enumerate(ranks) if index != best]
    if not _enough(
        text, candidates[best], scores[best], ranks[best] - max(others, default=0.0), meaning
    ):
        return None
    answer = known.faq[best][1] if best < len(asked) else known.facts[best - len(asked)]
    return sayable(answer)


def _enough(text: str, candidate: str, score: float, lead: float, meaning: Meaning) -> bool:
    if telling(text) & telling(candidate):
        return score >= meaning.likely
    return score >= meaning.sure or (score >= meaning.sure - 0.02 and lead >= meaning.apart)


def _fit(text: str, candidate: str, *, question: bool) -> float:
    """A small preference for candidates of the right kind: a time for a `when`, and so on."""
    opener = _opener(text)
    shared = 0.02 * min(2, len(telling(text) & telling(candidate)))
    if opener is None:
        return shared
    if question:
        other = _opener(candidate)
        return shared + (0.0 if other is None else 0.02 if _kind(other) == _kind(opener) else -0.03)
    return shared + (0.03 if _suits(_kind(opener), candidate) else 0.0)


def _kind(opener: str) -> str:
    return "when" if opener == "what time" else opener


def _suits(kind: str, fact: str) -> bool:
    if kind == "when":
        return heard_moment(fact) is not None or _PERIOD.search(fact) is not None
    if kind == "how much":
        return _MONEY.search(fact) is not None
    return kind == "where" and _PLACE.search(fact) is not None


def _opener(text: str) -> str | None:
    lowered = f" {text.lower()} "
    return next((opener for opener in _OPENERS if f" {opener} " in lowered), None)
