"""What the agent's speech says, and how much of it was heard when it was broken off."""

from __future__ import annotations

import asyncio

from livekit.agents.voice import io

PACE = 14.0
"""Characters a second, until a sentence that was heard whole tells the voice's own pace."""


class Segment:
    """What the session hands over between two flushes; it is told once how much was heard."""

    def __init__(self) -> None:
        self.given_s = 0.0
        self.sent_s = 0.0
        self.has_failed = False  # its voice did, and said a part of it
        self.is_whole = False  # the voice has ended, and did not fail
        self.has_begun = False
        self.end: asyncio.TimerHandle | None = None  # set once everything is handed over


class PlayoutTranscript(io.TextOutput):
    """Takes the text of each speech as the model gives it, beside the speech itself.

    LiveKit's own would listen to the speech for its pace, 3 ms of CPU for each 100 ms of it, all
    at once where the voice is fast: just when the first word should leave.
    """

    def __init__(self) -> None:
        super().__init__(label="playout transcript", next_in_chain=None)
        self._text = ""
        self._is_whole = True
        self._characters, self._seconds = 0, 0.0

    @property
    def text(self) -> str:
        """The latest speech's words so far."""
        return self._text

    async def capture_text(self, text: str) -> None:
        if self._is_whole:
            self._text, self._is_whole = "", False
        self._text += text

    def flush(self) -> None:
        if self._is_whole:
            self._text = ""  # a speech without words
        self._is_whole = True

    def heard_of(self, segment: Segment, heard_s: float, *, broken_off: bool) -> str | None:
        """Return the words of `segment`, the latest speech, that were heard; null: all of them."""
        if not broken_off and segment.is_whole:
            self._characters += len(self._text)
            self._seconds += heard_s
            return None
        if segment.is_whole:
            return self._until(heard_s / segment.given_s)
        pace = self._characters / self._seconds if self._seconds else PACE
        return self._until(heard_s * pace / max(1, len(self._text)))

    def _until(self, share: float) -> str:
        end = round(len(self._text) * share)
        head, rest = self._text[:end], self._text[end:]
        if not rest or rest[0].isspace() or " " not in self._text:
            return head  # between two words; or a script that puts no spaces between them
        *words, _cut = head.split(" ")
        return " ".join(words)
