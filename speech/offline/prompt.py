"""What an assistant's instructions say: who it is, its FAQ, and the facts it may tell."""

from __future__ import annotations

import re

import msgspec

_PLACEHOLDER = re.compile(r"(?:,[ \t]*)?\{\{.*?\}\}", re.DOTALL)
NO_MARKS = str.maketrans("", "", "⟦⟧")
"""Around values that others gave."""
_QUESTION = re.compile(r"^\s*(?:[-*]\s*)?Q\s*[:.]\s*(.+)$", re.IGNORECASE)
_ANSWER = re.compile(r"^\s*(?:[-*]\s*)?A\s*[:.]\s*(.*)$", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•#]+|\d+[.)])\s*")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bDr\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bSt\.)\s+")

_ORDER = re.compile(
    r"^(?:please\s+)?(?:you(?:'re| are|r (?:goal|task|job|name|role))|never|always|do not|don't|"
    r"be|if|when|ask|answer|speak|keep|use|say|greet|introduce|offer|avoid|try|make sure|remember|"
    r"act|respond|reply|help|confirm|collect|verify|end|hang|transfer|call|wait|only|first|then|"
    r"finally|stay|repeat|read|you (?:must|should|may|can|will|work|speak|answer|help|call)|"
    r"begin|start|thank|follow|listen|note|example|"
    r"the (?:user|caller|customer) (?:may|might|can))\b",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"^(?:please\s+)?(?:tell|remind|inform|let)\b.*?\b(?:that|know(?: that)?)\s+(.+)$",
    re.IGNORECASE,
)
_AS_AGENT = re.compile(
    r"^you(?P<verb>(?:'re| are) (?:open|closed|located|based|available)| offer| accept| charge|"
    r" take| sell| provide| deliver| open| close| have)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?:[Yy]our name is|[Yy]ou are|[Yy]ou're)\s+(?:called\s+)?(?P<name>[A-Z][a-z]+)\b"
)
_HOUSE = re.compile(
    r"\b(?:for|of|at|from|with)\s+(?P<house>(?:the\s+)?[A-Z][\w&'’-]*(?:\s+(?:[A-Z][\w&'’-]*|and|of|&))*)"
)


class Knowledge(msgspec.Struct, frozen=True):
    """What may be said.

    Attributes:
        faq: questions with their answers.
        facts: sentences, in the agent's voice.
        name: the agent's own name, where the instructions give one.
        house: whom it speaks for.
    """

    faq: tuple[tuple[str, str], ...] = ()
    facts: tuple[str, ...] = ()
    name: str | None = None
    house: str | None = None


def read(instructions: str) -> Knowledge:
    """Return what `instructions` let an agent say; placeholders never get through."""
    text = _PLACEHOLDER.sub("", instructions).translate(NO_MARKS)
    faq, rest = _split_faq(text)
    sentences = [sentence for line in rest for sentence in _sentences(line)]
    facts = [fact for sentence in sentences if (fact := _fact(sentence)) is not None]
    name, house = _identity(sentences)
    return Knowledge(faq=tuple(faq), facts=tuple(dict.fromkeys(facts)), name=name, house=house)


def sayable(text: str) -> str:
    """Return `text` without placeholders and doubled spaces, fit to be spoken."""
    clean = re.sub(r"\s+", " ", _PLACEHOLDER.sub("", text)).strip()
    return re.sub(r"\s+([,.!?])", r"\1", clean)


def _split_faq(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    faq: list[tuple[str, str]] = []
    rest: list[str] = []
    question: str | None = None
    for line in text.splitlines():
        if found := _QUESTION.match(line):
            question = found.group(1).strip()
        elif question is not None and (found := _ANSWER.match(line)):
            faq.append((question, found.group(1).strip()))
            question = None
        else:
            rest.append(line)
    return [(asked, told) for asked, told in faq if told], rest


def _sentences(line: str) -> list[str]:
    bare = _BULLET.sub("", line).strip()
    if line.lstrip().startswith("#") or bare.endswith(":"):
        return []  # a heading
    return [part.strip() for part in SENTENCE_END.split(bare) if len(part.split()) > 2]


def _fact(sentence: str) -> str | None:
    if told := _TELLING.match(sentence):
        return _finish(re.sub(r"\b(?:their|the (?:caller|customer|patient)'s)\b", "your", told[1]))
    if owned := _AS_AGENT.match(sentence):
        verb = owned["verb"].replace("'re", " are")
        return _finish("We" + verb + sentence[owned.end() :])
    if _ORDER.match(sentence) or sentence.endswith("?"):
        return None
    return _finish(re.sub(r"^your\b", "our", sentence, flags=re.IGNORECASE))


def _finish(sentence: str) -> str:
    whole = sayable(sentence)
    return whole[:1].upper() + whole[1:] + ("" if whole.endswith((".", "!")) else ".")


def _identity(sentences: list[str]) -> tuple[str | None, str | None]:
    name = house = None
    for sentence in sentences:
        if not re.match(r"(?i)you(?:'re| are|r name)\b|.*\byour name is\b", sentence):
            continue
        if name is None and (found := _NAME.search(sentence)):
            name = found["name"]
        if house is None and (found := _HOUSE.search(sentence)):
            house = re.sub(r"\s+(?:and|of|&)$", "", found["house"])
    return name, house
