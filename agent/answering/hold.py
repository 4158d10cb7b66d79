"""Waiting in a queue: announcements want no answer, music is no silence, and a person ends it."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Protocol

from agent.answering.words import Sign, signs_in
from control_plane.domain.assistant import Language

LIMIT_S = 600.0
"""So long a queue is waited in without a word from it; after that silence counts again."""
PERSON_LIMIT_S = 180.0
"""The same where a person has asked to wait."""
SHORT_WORDS = 16
"""A person who takes the call says no more than that; an announcement seldom less."""


class Silence(Protocol):
    """Who asks, and hangs up, when nobody speaks."""

    def pause(self) -> None:
        """Let the call be silent."""

    def go_on(self) -> None:
        """Watch again."""


class Said(StrEnum):
    """What the words of a turn are, as far as waiting goes."""

    ANNOUNCEMENT = "announcement"  # wait, it says
    PERSON = "person"  # somebody took the call
    OTHER = "other"


class Hold:
    """Knows from the words of each turn whether the call waits in a queue."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._silence: Silence | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._is_on = False

    def watch(self, silence: Silence) -> None:
        """Hold this while the call waits."""
        self._silence = silence

    def hear(self, words: str, *, is_machine: bool) -> Said:
        """Take the words of a turn.

        Args:
            is_machine: a menu has answered, and nobody has taken the call yet.
        """
        signs = signs_in(words, self._language)
        if Sign.WAIT in signs:
            self._begin(LIMIT_S if is_machine else PERSON_LIMIT_S)
            return Said.OTHER if Sign.MENU in signs else Said.ANNOUNCEMENT
        if not (self._is_on and words):
            return Said.OTHER
        self.end()
        is_person = not signs and (words.endswith("?") or len(words.split()) <= SHORT_WORDS)
        return Said.PERSON if is_person else Said.OTHER

    def end(self) -> None:
        """Wait no more."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit, was_on, self._is_on = None, self._is_on, False
        if was_on and self._silence is not None:
            self._silence.go_on()

    def _begin(self, limit_s: float) -> None:
        if self._silence is None:
            return
        if self._limit is not None:
            self._limit.cancel()
        self._is_on = True
        self._silence.pause()
        self._limit = asyncio.get_running_loop().call_later(limit_s, self.end)
