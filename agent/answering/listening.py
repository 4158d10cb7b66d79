"""What is heard of whoever answered: voice activity, words, tones; and who that makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from agent.answering.detector import AnswerDetector
from agent.answering.tones import ToneDetector
from agent.answering.words import signs_in
from agent.audio.input import HEARD_RATE, Heard
from agent.continuation import END_LAG_S, START_LAG_S
from control_plane.domain.assistant import Language

TONES_UNTIL_S = 120.0
"""Nobody listens for tones after that: a greeting is over."""
LOUD = 600
"""Of 32,768: what is quieter is no greeting."""


class AnswerListener:
    """Tells the detector what happens on the line, and whoever waits that something did.

    Args:
        on_stir: called at once, before anybody who waits.
    """

    def __init__(self, language: Language, on_stir: Callable[[], None]) -> None:
        self.detector = AnswerDetector(language)
        self.last_words = ""
        self.untold = ""
        """Words that no turn was made of yet."""
        self.is_told = False
        """A voicemail is being told the message: words that come now are judged by themselves."""
        self.picked_up = False
        """A person spoke into the message."""
        self._language = language
        self._on_stir = on_stir
        self._tones = ToneDetector(HEARD_RATE)
        self._answered_at: float | None = None
        self._loud_s = 0.0
        self._stirred = asyncio.Event()

    @property
    def is_live(self) -> bool:
        """Whether what is heard counts."""
        return self._answered_at is not None

    @property
    def now_s(self) -> float:
        """Seconds since the answer."""
        return time.monotonic() - self._answered_at if self._answered_at is not None else 0.0

    @property
    def quiet_s(self) -> float:
        """For how long nothing has been heard."""
        # A model that hears by itself brings no voice activity once it hears no more.
        by_level = self.now_s - self._loud_s
        if self.detector.speaks:
            return by_level
        return max(by_level, self.now_s - self.detector.quiet_since_s)

    def answered(self, session: AgentSession[Any]) -> None:
        """They have answered: from now on it counts what is heard."""
        self._answered_at = time.monotonic()
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("conversation_item_added", self._on_item)

    def tapped(self, onward: Heard) -> Heard:
        """Return what takes the line's sound (mono int16 at `HEARD_RATE`) and passes it on."""

        def heard(samples: bytes, until: float | None = None) -> None:
            onward(samples, until)
            now_s = self.now_s
            if self.is_live and now_s <= TONES_UNTIL_S and not self.detector.is_person(now_s):
                self._hear(samples)

        return heard

    def is_of_machine(self, words: str) -> bool:
        """Return whether a machine says this."""
        return bool(signs_in(words, self._language))

    async def stirs_within(self, limit_s: float | None) -> bool:
        """Return whether anything happens within so long; null: wait for it."""
        self._stirred.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._stirred.wait()
        except TimeoutError:
            return False
        return True

    def stir(self) -> None:
        """Have everybody who waits look again."""
        self._on_stir()
        self._stirred.set()

    def _hear(self, samples: bytes) -> None:
        if np.abs(np.frombuffer(samples, np.int16)).max(initial=0) > LOUD:
            self._loud_s = self.now_s
        for tone in self._tones.hear(samples):
            self.detector.tone(tone, self.now_s)
            self.stir()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.detector.speech_began(self.now_s - START_LAG_S)
        elif event.old_state == "speaking":
            self.detector.speech_ended(self.now_s - END_LAG_S)
        self.stir()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if item.type == "message" and item.role == "assistant" and not item.interrupted:
            self.detector.heard_us()
            self.stir()

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        words = event.transcript.strip()
        if not words:
            return
        if not self.is_told:
            self.detector.heard(words, self.now_s, is_final=event.is_final)
        elif event.is_final and not self.is_of_machine(words):
            self.detector.picked_up(words, self.now_s)
            self.picked_up = True
        self.last_words = words
        if event.is_final:
            self.untold = f"{self.untold} {words}".strip()
        self.stir()
