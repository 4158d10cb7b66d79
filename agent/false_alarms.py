"""After a cough or a "mm-hm" the agent goes on half a second later, not one and a quarter."""

from __future__ import annotations

import asyncio

from livekit.agents import UserStateChangedEvent

from agent.continuation import Talk

SHORT_S = 0.7
"""Sound that is noticed for no longer than this is seldom words that stop the agent."""
SOON_S = 0.2
"""After such a sound without words the agent goes on; the embedded STT has written by then."""


class FalseAlarms:
    """Sets how long the agent waits for words, by how long the sound was that stopped it."""

    def __init__(self, session: Talk) -> None:
        self._options = session.options
        self._patient_s: float = session.options.interruption["false_interruption_timeout"]
        self._timer: asyncio.TimerHandle | None = None
        session.on("user_state_changed", self._on_user_state)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if event.new_state == "speaking":
            # LiveKit takes the wait over while the sound lasts.
            self._wait(SOON_S)
            self._timer = asyncio.get_running_loop().call_later(
                SHORT_S, self._wait, self._patient_s
            )

    def _wait(self, seconds: float) -> None:
        self._options.interruption["false_interruption_timeout"] = seconds
