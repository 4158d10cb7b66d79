"""The first sentence is heard whole: a person who says hello into it gets it from the start."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from livekit.agents import llm
from livekit.agents.voice import SpeechHandle

from agent.prompt import without_marks
from agent.spoken import Spoken
from agent.turn_syntax import is_question
from control_plane.domain.assistant import Language

AGAIN_UNTIL = 0.6
"""The share of the sentence up to which a person who broke in has not been told what it says."""
_TIMES = 3
"""So often it is begun; who breaks in each time wants something else."""
_NAME_WORDS = 3
_WORD = re.compile(r"[^\W\d_]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GREETINGS: Mapping[str, frozenset[str]] = {
    # what is said on picking up, and the question who calls, which the first sentence answers
    "en": _words(
        "hello hi hey yes yeah good morning afternoon evening speaking who is this there s calling "
        "me are you please that am i talking to with"
    ),
    "es": _words(
        "hola sí diga dígame bueno buenos buenas días tardes noches quién es habla llama me eres "
        "con hablo favor por"
    ),
    "pt": _words(
        "olá sim está estou alô bom boa dia tarde noite quem é fala diga liga me com falo favor por"
    ),
    "de": _words(
        "hallo ja guten tag morgen abend wer ist da dort bitte am apparat ruft an mich sind sie "
        "spricht mit wem spreche ich"
    ),
    "fr": _words(
        "allô allo oui bonjour bonsoir qui est à l appareil c m appelle êtes vous parle s il plaît"
    ),
    "it": _words("pronto sì ciao buongiorno buonasera chi è parla mi chiama con favore per"),
    "pl": _words("halo tak słucham dzień dobry wieczór cześć kto mówi dzwoni proszę z kim"),
    "ro": _words("alo da bună ziua seara dimineața cine este e vorbește mă sună cu vă rog"),
}


class Opening:
    """The first sentence, until it has been heard.

    Args:
        first: its words and its sound, or what a model that speaks by itself is told to begin
            with; null: the agent waits.
    """

    def __init__(self, first: Spoken | str | None, language: Language) -> None:
        self.first = first
        self._language = language
        self._begun = 0
        self.pending: Spoken | str | None = first
        """Null while it is said, and once it was heard. Not cleared when a reply is only generated:
        LiveKit generates replies ahead of time and throws them away when the person goes on."""

    def pop(self) -> Spoken | str | None:
        """Return what is to be said now, if anything."""
        first, self.pending = self.pending, None
        self._begun += first is not None
        return first

    def again(self) -> None:
        """Somebody else is there now, who has not heard it."""
        self.pending, self._begun = self.first, 0

    def began(self, speech: SpeechHandle | None) -> None:
        """The agent speaks: the sentence, as `speech`; it comes again if it was cut off early."""
        if self.pop() is not None and speech is not None:
            self.watch(speech)

    def watch(self, speech: SpeechHandle) -> None:
        """Have the sentence said again if `speech`, which says it, is cut off early."""

        def over(done: SpeechHandle) -> None:
            if done.interrupted and self._begun < _TIMES and not self._is_told(done.chat_items):
                self.pending = self.first

        speech.add_done_callback(over)

    def is_answered_by_it(self, said: str) -> bool:
        """Return whether the first sentence answers `said`: "Hello? Who is this?"."""
        base = self._language.base
        words = _WORD.findall(said.lower())
        if all(word in GREETINGS[base] for word in words):
            return True
        is_asked = said.rstrip().endswith("?") or is_question(words, base)
        return len(words) <= _NAME_WORDS and not is_asked  # a name, as some pick up with

    def _is_told(self, items: list[llm.ChatItem]) -> bool:
        if not isinstance(self.first, Spoken):
            return any(item.type == "message" and item.text_content for item in items)
        heard = sum(len(item.text_content or "") for item in items if item.type == "message")
        return heard > AGAIN_UNTIL * len(self.first.text)


def as_said_before(context: llm.ChatContext, sentence: str) -> llm.ChatContext:
    """Return a context for the answer that follows `sentence` in the same breath."""
    items = list(context.items)
    at = next((n for n in reversed(range(len(items))) if _is_of_person(items[n])), len(items))
    message = llm.ChatMessage(role="assistant", content=[sentence])
    return llm.ChatContext([*items[:at], message, *items[at:]])


def said_last(context: llm.ChatContext) -> str:
    """Return the person's latest words."""
    said = [message.text_content for message in context.messages() if _is_of_person(message)]
    return without_marks((said[-1] if said else None) or "")


async def chained(head: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield `head`, and then `rest`."""
    yield head
    async for chunk in rest:
        yield chunk


def _is_of_person(item: Any) -> bool:
    return bool(item.type == "message" and item.role == "user")
