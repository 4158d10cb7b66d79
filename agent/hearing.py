"""Transcripts that come twice: some ears send a final again, and it must not be answered again."""

from __future__ import annotations

import time
from collections.abc import Callable

from livekit.agents import stt

ECHO_S = 1.0
"""A final with the same words, so soon after and without speech between, is the same one."""


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
        said = event.alternatives[0].text.strip() if event.alternatives else ""
        now = self._clock()
        if said and said == self._last and now - self._at < ECHO_S:
            return True
        self._last, self._at = said, now
        return False
