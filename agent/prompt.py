"""What the model is told: the assistant's prompt with its variables, its FAQ, how calls go."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.assistant import AssistantSpec, FaqItem
from control_plane.domain.placeholders import fill

_MANNERS = (
    "You are on the telephone. Speak in short, plain sentences, without lists or markup. "
    "Read numbers back to the caller to confirm them. "
    "If you do not know something, say so and offer that a colleague calls back."
)
_END_WITH_SENTENCE = (
    "When the conversation is over, call the tool end_call without a word of your own: "
    "the closing sentence is spoken for you."
)
_END_WITH_GOODBYE = "When the conversation is over, say goodbye and call the tool end_call."


def render(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with each `{{name}}` replaced by its value, by nothing when it has none."""
    return fill(text, variables)


def instructions(spec: AssistantSpec, variables: Mapping[str, str]) -> str:
    """Return the system message of the conversation; FAQ entries as `Q: …` and `A: …` lines."""
    parts = [render(spec.prompt, variables)]
    if spec.faq_items:
        parts.append("# Frequently asked questions")
        parts += [_faq(item, variables) for item in spec.faq_items]
    parts.append("# Manners")
    parts.append(_MANNERS)
    parts.append(_END_WITH_SENTENCE if spec.end_of_call_sentence else _END_WITH_GOODBYE)
    return "\n\n".join(parts)


def word_for_word(text: str) -> str:
    """Return the instruction that has a model that speaks by itself say `text`."""
    return f"Say exactly the following, word for word, and nothing else: {text}"


def opening(first_sentence: str | None) -> str:
    """Return the instruction that makes the model speak first."""
    if first_sentence:
        return f"Begin the conversation. First sentence instruction: {first_sentence}"
    return "Begin the conversation: greet the person and say who you are and why you call."


def _faq(item: FaqItem, variables: Mapping[str, str]) -> str:
    return f"Q: {render(item.question, variables)}\nA: {render(item.answer, variables)}"
