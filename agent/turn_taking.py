"""Whose turn it is: how long a pause must be, judged by what was said; what counts as a word in.

Silence alone cuts people off: the pause inside "my number is … four two" is as long as the one
after a finished sentence. So a turn whose words ask for more waits longer than one that is whole.
"""

from __future__ import annotations

import re
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.language import LanguageCode
from livekit.agents.voice.turn import TurnHandlingOptions
from msgspec import Struct

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
_WHOLE, _ASKED, _OPEN, _HELD = 1.0, 0.95, 0.4, 0.1
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")
_NUMBERS = frozenset(
    ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)
_ASKS_FOR_NUMBER = re.compile(r"\b(?:number|digits?|code|zip)\b", re.IGNORECASE)
_WHOLE_NUMBER = 7  # digits; fewer, where a number was asked for, are a part of it


class Profile(Struct, frozen=True):
    """Seconds of silence after the person's last word, and of speech that stops the agent.

    Attributes:
        finished_s: after words that make a whole; the reply is ready by then.
        open_s: after words that round something off, where more often follows: "Great, thank you."
        unfinished_s: after words that ask for more.
        interrupt_s: speech over the agent's that makes it fall silent.
        false_alarm_s: silence after which it goes on, when nothing was said after all.
    """

    finished_s: float
    open_s: float
    unfinished_s: float
    interrupt_s: float
    false_alarm_s: float


PROFILES = {
    TurnTaking.FAST: Profile(0.25, 0.7, 1.1, 0.15, 0.8),
    TurnTaking.BALANCED: Profile(0.3, 0.9, 1.4, 0.2, 1.0),
    TurnTaking.PATIENT: Profile(0.8, 1.4, 2.4, 0.5, 1.5),
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
        """Return how likely the person has finished, 0 to 1."""
        said = asked = ""
        for item in chat_ctx.items:
            if item.type == "message" and item.role == "assistant":
                said, asked = "", item.text_content or ""
            elif item.type == "message" and item.role == "user":
                said = f"{said} {item.text_content or ''}"
        likely = finished(said, self._language, asked=asked)
        if likely < UNLIKELY and self._session is not None:
            wait_s = self._profile.unfinished_s if likely <= _HELD else self._profile.open_s
            self._session.update_options(endpointing_opts={"max_delay": wait_s - DETECTION_LAG_S})
        return likely


def finished(said: str, language: Language, *, asked: str = "") -> float:
    """Return how likely `said` is a whole, 0 to 1.

    Args:
        asked: what the agent said last; a number that it asked for comes in pieces.
    """
    text = said.strip()
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return _WHOLE
    if text.endswith("?"):
        return _ASKED
    if text.endswith((",", "-", "–", "…", "...", ":", ";")):
        return _HELD
    base = language.base
    last = words[-1]
    if last in FILLERS[base]:
        return _HELD
    if _ASKS_FOR_NUMBER.search(asked) and 0 < _digits(words) < _WHOLE_NUMBER:
        return _HELD if last.isdigit() or last in _NUMBERS else _WHOLE
    if " ".join(words[-2:]) in WHOLE_ENDINGS[base] and len(words) <= 4:
        return _WHOLE
    if _is_courtesy(words, base, answers="?" in asked[-1:]):
        return _OPEN
    if last in HOLDERS[base] and len(words) > 1:
        return _HELD
    if base == "en" and last in TRANSITIVE and len(words) > 2 and words[-2] == "to":
        return _HELD
    return _WHOLE


def _is_courtesy(words: list[str], base: str, *, answers: bool) -> bool:
    """Whether this is thanks, or approval that answers no question."""
    thanks = THANKS[base]
    if not all(word in thanks or word in COURTESIES[base] for word in words):
        return False
    return not answers or any(word in thanks for word in words)


def is_backchannel(said: str, language: Language) -> bool:
    """Return whether `said` only tells the agent to go on: "mm-hm", "okay"."""
    words = [word.lower() for word in _WORD.findall(said)]
    return bool(words) and all(word in BACKCHANNELS[language.base] for word in words)


def _digits(words: list[str]) -> int:
    return sum(len(word) if word.isdigit() else word in _NUMBERS for word in words)
