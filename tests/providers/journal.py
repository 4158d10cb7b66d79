"""What the provider servers were asked and when, on both clocks; never a key."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

_KEPT = 100_000


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that happened at a provider server.

    Args:
        time: of `time.time()`; `monotonic`: of `time.monotonic()`, comparable within the machine.
        event: `request`, `first_byte`, `end`, `gone` (the client left), `audio_in`, `frame`.
        asked: what was asked for (model, voice, language, text, speed …), or the frame's facts.
        answer: numbers of its events, the same for all entries of one answer.
    """

    time: float
    monotonic: float
    provider: str
    capability: str
    event: str
    answer: int
    asked: dict[str, Any]


class Journal:
    """The entries of all servers, in order; safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = threading.Condition()
        self._answers = 0

    def number(self) -> int:
        """Return the number of a new answer."""
        with self._changed:
            self._answers += 1
            return self._answers

    def add(self, capability: str, event: str, answer: int, **asked: Any) -> None:
        """Write an entry for `capability` (`openai.chat`), now."""
        entry = Entry(
            time=time.time(),
            monotonic=time.monotonic(),
            provider=capability.partition(".")[0],
            capability=capability,
            event=event,
            answer=answer,
            asked=asked,
        )
        with self._changed:
            self._entries.append(entry)
            del self._entries[:-_KEPT]
            self._changed.notify_all()

    def entries(self, capability: str | None = None, event: str | None = None) -> list[Entry]:
        """Return the entries of this capability and event, oldest first; null means any."""
        with self._changed:
            return [
                entry
                for entry in self._entries
                if capability in (None, entry.capability) and event in (None, entry.event)
            ]

    def wait(self, wanted: Callable[[Entry], bool], limit_s: float) -> Entry:
        """Return the first entry that is wanted, old or new; blocks the calling thread.

        Raises:
            TimeoutError: there was none within `limit_s`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(wanted, self._entries)), limit_s):
                raise TimeoutError(f"no such entry within {limit_s} s")
            return next(filter(wanted, self._entries))

    def clear(self) -> None:
        """Forget every entry."""
        with self._changed:
            self._entries.clear()
