"""A caller is never left in silence: what fills the wait for a reply that is late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession

from agent.line import LineOut
from agent.spoken import Spoken

FIRST_S = 1.2
"""Silence before the first filler; it takes a fifth of a second more to be heard."""
NEXT_S = 2.4
GIVE_UP_S = 25.0
"""A reply later than this does not come; tools may take ten seconds each."""
_LOOK_S = 0.1


class Patience:
    """Watches for silence that the agent owes the caller words for.

    Args:
        fillers: sentences ready to be heard; the last one is said again and again.
        on_said: called with each filler that is said.
        on_given_up: called once, when there was no word of the reply in time.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        line: LineOut,
        *,
        on_said: Callable[[str], None],
        on_given_up: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._line = line
        self._on_said = on_said
        self._on_given_up = on_given_up
        self._clock = clock
        self._fillers: tuple[Spoken, ...] = ()
        self._owed_since: float | None = None
        self._said = 0

    def be_ready(self, *fillers: Spoken) -> None:
        """Have these sentences to say."""
        self._fillers = fillers

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Say a filler if it is time for one."""
        now = self._clock()
        if not self._owes():
            self._owed_since, self._said = None, 0
            return
        if self._owed_since is None:
            self._owed_since = now
        late_s = now - max(self._owed_since, self._line.words_until)
        quiet_s = now - max(self._owed_since, self._line.silent_since)
        if late_s < FIRST_S:
            self._said = 0
        elif late_s > GIVE_UP_S:
            self._owed_since = now
            self._on_given_up()
        elif self._fillers and quiet_s >= (NEXT_S if self._said else FIRST_S):
            filler = self._fillers[min(self._said, len(self._fillers) - 1)]
            self._said += 1
            self._line.aside(filler.frames)
            self._on_said(filler.text)

    def _owes(self) -> bool:
        """Return whether a reply is on its way while the person waits for it."""
        speech = self._session.current_speech
        return (
            speech is not None
            and not speech.done()
            and not speech.interrupted
            and self._session.user_state != "speaking"
            and not self._line.is_paused
        )
