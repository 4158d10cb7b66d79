"""Whether words make a clause that is whole: has it a verb, and what the verb asks for?

It parses nothing: it looks at the first word, at the last ones, and counts verbs.
"""

from __future__ import annotations

from agent.turn_grammar import GRAMMARS, Grammar


def is_question(words: list[str], base: str) -> bool:
    """Return whether lower-case `words` begin like a question."""
    return bool(words) and words[0] in GRAMMARS[base].questions


def asks_for_more(words: list[str], base: str, *, is_asked: bool = False) -> bool:
    """Return whether `words` are likely a part of what is being said.

    Args:
        words: what was said, in lower case, without punctuation.
        base: the language's two letters.
        is_asked: they sound like a question.
    """
    grammar = GRAMMARS[base]
    if not words:
        return False
    last = words[-1]
    if len(words) > 1 and (last in grammar.leads or _asks(words, grammar)):
        return True
    if is_asked or (base == "en" and _is_inverted(words, grammar)):
        return False
    if any(word in grammar.whole for word in (words[0], last)):
        return False
    if len(words) > 1 and last in grammar.objects_due:
        return True
    verbs = _verbs(words, grammar)
    if words[0] in grammar.openers and len(words) > 1:
        return verbs < 2
    return verbs == 0 and len(words) > 1


def _is_inverted(words: list[str], grammar: Grammar) -> bool:
    """Whether a verb follows the question word: "when are you", and not "when I am"."""
    return len(words) > 2 and words[0] in grammar.questions and words[1] in grammar.verbs


def _asks(words: list[str], grammar: Grammar) -> bool:
    return any(" ".join(words[-count:]) in grammar.asking for count in (1, 2, 3))


def _verbs(words: list[str], grammar: Grammar) -> int:
    """Return about how many clauses there are: verbs, of which several in a row are one."""
    found, before = 0, False
    for index, word in enumerate(words):
        follows_subject = index > 0 and words[index - 1] in grammar.subjects
        is_verb = word in grammar.verbs or (
            follows_subject and word not in grammar.subjects and word not in grammar.leads
        )
        found += is_verb and not before
        before = is_verb
    return found
