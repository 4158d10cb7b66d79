"""What recognisers send: finals that come twice, and words that are still to come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from livekit.agents import stt

ECHO_S = 1.0
"""A final with the same words, so soon after and without speech between, is the same one."""
WORDS_LIMIT_S = 1.0
"""After this, speech whose words have not come was none."""


class Echoes:
    """Tells finals from their repetitions."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = ""
        self._at = 0.0

    def speech_began(self) -> None:
        """Take note that the person speaks: the same words are said anew."""
        self._last = ""

    def is_echo(self, event: stt.SpeechEvent | str) -> bool:
        """Return whether `event` is the final before it once more."""
        if isinstance(event, str) or event.type is not stt.SpeechEventType.FINAL_TRANSCRIPT:
            return False
        said = text_of(event)
        now = self._clock()
        if said and said == self._last and now - self._at < ECHO_S:
            return True
        self._last, self._at = said, now
        return False


class Words:
    """Whether the recogniser still owes the words of what was said."""

    def __init__(self) -> None:
        self._are_owed = False
        self._none = asyncio.Event()

    def receive(self, event: stt.SpeechEvent | str) -> None:
        """Take note of what the recogniser sends, in order."""
        if isinstance(event, str) or event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._are_owed = False
            if not text_of(event):
                self._none.set()
        elif event.type is stt.SpeechEventType.START_OF_SPEECH:
            self._are_owed = True
            self._none.clear()

    def drop(self) -> None:
        """What was taken last is heard by nobody."""
        self._none.set()

    async def wait_none(self, limit_s: float = WORDS_LIMIT_S) -> None:
        """Return at once where no words are owed, or once it turns out that none come.

        Words that do come do not end the wait: LiveKit gives up the judgement that waits, and asks
        for another with them.
        """
        if not self._are_owed:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._none.wait()
        self._are_owed = False


def text_of(event: stt.SpeechEvent | str) -> str:
    """Return the words of what a recogniser sent; empty where there are none."""
    if isinstance(event, str):
        return event.strip()
    return event.alternatives[0].text.strip() if event.alternatives else ""
