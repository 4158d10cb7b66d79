"""Whose turn it is: how long a pause must be, judged by what was said; what counts as a word in.

Silence alone cuts people off: the pause inside "my number is … four two" is as long as the one
after a finished sentence. So a turn whose words ask for more waits longer than one that is whole,
and what is whole may still go on: how long is learned from the person's own pauses in this call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.language import LanguageCode
from livekit.agents.voice.turn import TurnHandlingOptions
from msgspec import Struct

from agent.hearing import Words
from agent.turn_syntax import asks_for_more, is_question
from agent.turn_words import (
    BACKCHANNELS,
    COURTESIES,
    FILLERS,
    HOLDERS,
    THANKS,
    TRANSITIVE,
    WHOLE_ENDINGS,
)
from control_plane.domain.assistant import Language, TurnTaking

DETECTION_LAG_S = 0.06
"""By so much voice activity detection believes that speech ended later than it did (median of
spoken sentences: 0.07 s, never more than 0.11 s); LiveKit counts its delays from that belief."""
UNLIKELY = 0.5
"""A turn less likely over than this waits longer than `Profile.finished_s`."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")
_NUMBERS = frozenset(
    ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)
_ASKS_FOR_NUMBER = re.compile(r"\b(?:number|digits?|code|zip)\b", re.IGNORECASE)
_WHOLE_NUMBER = 7  # digits; fewer, where a number was asked for, are a part of it
_ANSWER_WORDS = 6  # a longer reply to a question may be a story
_INVITES = re.compile(
    r"\b(?:help|do for|assist|tell me|ayudar|ajudar|helfen|tun|aider|aiutare|pomóc|ajuta)\b",
    re.IGNORECASE,
)
"""A question that asks for a story rather than an answer: "How can I help you?"."""
_RHYTHM_MARGIN_S = 0.15
_FADES = 0.7  # a pause of the person's counts less with each turn without one


class Ending(StrEnum):
    """What the end of a turn looks like, from the words; its value is LiveKit's probability."""

    CERTAIN = "certain"  # a question, or the answer to one
    WHOLE = "whole"  # a statement, after which another may come
    OPEN = "open"  # something rounded off, or a clause that lacks a part
    HELD = "held"  # the last word asks for the next


_LIKELY = {Ending.CERTAIN: 1.0, Ending.WHOLE: 0.45, Ending.OPEN: 0.3, Ending.HELD: 0.1}


class Profile(Struct, frozen=True):
    """Seconds of silence after the person's last word, and of speech that stops the agent.

    Attributes:
        finished_s: after a question or the answer to one; the reply is ready by then.
        whole_s: after a statement; longer for who pauses longer, up to `open_s`.
        open_s: after words that round something off ("Great, thank you."), or a clause that lacks
            a part ("My appointment").
        unfinished_s: after words that ask for more.
        interrupt_s: speech over the agent's that makes it fall silent.
        false_alarm_s: silence after which it goes on, when nothing was said after all.
    """

    finished_s: float
    whole_s: float
    open_s: float
    unfinished_s: float
    interrupt_s: float
    false_alarm_s: float


PROFILES = {
    TurnTaking.FAST: Profile(0.25, 0.3, 0.7, 1.1, 0.15, 0.8),
    TurnTaking.BALANCED: Profile(0.3, 0.38, 0.95, 1.4, 0.2, 1.0),
    TurnTaking.PATIENT: Profile(0.8, 0.9, 1.4, 2.4, 0.5, 1.5),
}


def turn_handling(
    chosen: TurnTaking, language: Language, *, by_words: bool = True
) -> TurnHandlingOptions:
    """Return LiveKit's options for a profile; never its cloud services.

    Args:
        by_words: whether a recogniser brings words to judge by; a realtime model does not in time.
    """
    profile = PROFILES[chosen]
    return {
        "turn_detection": TurnJudge(language, profile) if by_words else None,
        "endpointing": {
            "mode": "fixed",
            "min_delay": profile.finished_s - DETECTION_LAG_S,
            "max_delay": profile.unfinished_s - DETECTION_LAG_S,
        },
        "interruption": {
            "mode": "vad",
            "min_duration": profile.interrupt_s,
            "resume_false_interruption": True,
            "false_interruption_timeout": profile.false_alarm_s,
        },
        "preemptive_generation": {"enabled": True, "preemptive_tts": True},
    }


class TurnJudge:
    """A turn detector of LiveKit's that goes by the words.

    LiveKit knows two waits, and asks for the longer one after each judgement: which makes it as
    long as this judgement needs.
    """

    def __init__(self, language: Language, profile: Profile) -> None:
        self._language = language
        self._profile = profile
        self._session: AgentSession[Any] | None = None
        self.words = Words()
        """What the recogniser owes: nobody's turn ends with half of what they said. One that
        takes an utterance whole writes it down half a second later, when the first of two
        sentences with a pause between them would be a turn by itself."""
        self.sooner_by: Callable[[], float] = lambda: 0.0
        """By how much less the person's sound and the answer are on their way than through the room
        (s): who goes on after a pause is heard as much later against an answer as that."""
        self._ending = Ending.CERTAIN  # of what was said last
        self._pause_s = 0.0  # the person's own, inside turns of this call; fades

    def attach(self, session: AgentSession[Any]) -> None:
        """Judge the turns of this session."""
        self._session = session

    @property
    def model(self) -> str:
        """Its name, for traces."""
        return "words"

    @property
    def provider(self) -> str:
        """Who made it, for traces."""
        return "offhook"

    async def unlikely_threshold(self, _language: LanguageCode | None) -> float | None:
        """Return the probability below which the agent waits longer."""
        return UNLIKELY

    async def supports_language(self, _language: LanguageCode | None) -> bool:
        """Return whether it has an opinion; it has one on every language of an assistant."""
        return True

    async def predict_end_of_turn(
        self, chat_ctx: llm.ChatContext, *, timeout: float | None = None
    ) -> float:
        """Return how likely the person has finished, 0 to 1, once all their words are there."""
        await self.words.wait_none()
        said = asked = ""
        for item in chat_ctx.items:
            if item.type == "message" and item.role == "assistant":
                said, asked = "", item.text_content or ""
            elif item.type == "message" and item.role == "user":
                said = f"{said} {item.text_content or ''}"
        ending = self._ending = ending_of(said, self._language, asked=asked)
        if ending is not Ending.CERTAIN and self._session is not None:
            wait_s = self._wait_s(ending) + self.sooner_by() - DETECTION_LAG_S
            self._session.update_options(endpointing_opts={"max_delay": wait_s})
        return _LIKELY[ending]

    def went_on(self, pause_s: float) -> None:
        """The person paused for so long inside a turn, and went on."""
        if self._ending is Ending.HELD:
            return  # who looks for a word pauses longer than between two sentences
        self._pause_s = max(self._pause_s, pause_s)

    def ended(self) -> None:
        """A turn of the person's was over when it was taken to be."""
        self._pause_s *= _FADES

    def _wait_s(self, ending: Ending) -> float:
        profile = self._profile
        if ending is Ending.HELD:
            return profile.unfinished_s
        if ending is Ending.OPEN:
            return profile.open_s
        return min(profile.open_s, max(profile.whole_s, self._pause_s + _RHYTHM_MARGIN_S))


def ending_of(said: str, language: Language, *, asked: str = "") -> Ending:
    """Return what the end of `said` looks like.

    Args:
        asked: what the agent said last; a number that it asked for comes in pieces.
    """
    text = said.strip()
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    if not words:
        return Ending.CERTAIN
    base = language.base
    if text.endswith((",", "-", "–", "…", "...", ":", ";")) or words[-1] in FILLERS[base]:
        return Ending.HELD
    if _ASKS_FOR_NUMBER.search(asked) and _digits(words) > 0:
        is_digit = words[-1].isdigit() or words[-1] in _NUMBERS
        is_part = is_digit and _digits(words) < _WHOLE_NUMBER
        return Ending.HELD if is_part else Ending.CERTAIN
    if " ".join(words[-2:]) in WHOLE_ENDINGS[base] and len(words) <= 4:
        return Ending.CERTAIN
    answers = _is_asked(asked) and len(words) <= _ANSWER_WORDS
    if _is_courtesy(words, base, answers=answers or asked.rstrip().endswith("?")):
        return Ending.OPEN
    is_asked = text.endswith("?")
    if words[-1] in HOLDERS[base] and len(words) > 1 and not is_asked:
        return Ending.HELD
    if base == "en" and words[-1] in TRANSITIVE and len(words) > 2 and words[-2] == "to":
        return Ending.HELD
    if answers:
        return Ending.CERTAIN
    if asks_for_more(words, base, is_asked=is_asked):
        return Ending.OPEN
    return Ending.CERTAIN if is_asked or is_question(words, base) else Ending.WHOLE


def _is_asked(asked: str) -> bool:
    """Whether the agent's words ask for an answer, rather than for a story."""
    question = re.split(r"[.!]\s", asked.strip())[-1]
    return question.endswith("?") and _INVITES.search(question) is None


def _is_courtesy(words: list[str], base: str, *, answers: bool) -> bool:
    """Whether this is thanks, or approval that answers no question."""
    thanks = THANKS[base]
    if not all(word in thanks or word in COURTESIES[base] for word in words):
        return False
    return not answers or any(word in thanks for word in words)


def is_courtesy(said: str, language: Language) -> bool:
    """Return whether `said` is thanks and the like, and nothing else."""
    words = [word.lower() for word in _WORD.findall(said)]
    return bool(words) and _is_courtesy(words, language.base, answers=False)


def is_backchannel(said: str, language: Language) -> bool:
    """Return whether `said` only tells the agent to go on: "mm-hm", "okay"."""
    words = [word.lower() for word in _WORD.findall(said)]
    return bool(words) and all(word in BACKCHANNELS[language.base] for word in words)


def _digits(words: list[str]) -> int:
    return sum(len(word) if word.isdigit() else word in _NUMBERS for word in words)
