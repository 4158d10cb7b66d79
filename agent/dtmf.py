"""Keys that the person presses: each is reported, a run of them reaches the model as one input."""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import AgentSession

from agent.reporter import Reporter
from control_plane.domain.events import KeyPressed

PAUSE_S = 1.5
"""Keys less than this apart belong together."""


class KeyCollector:
    """Collects the keys of one person, known by identity: another leg's keys are not theirs."""

    def __init__(self, session: AgentSession[None], reporter: Reporter, identity: str) -> None:
        self._session = session
        self._reporter = reporter
        self._identity = identity
        self._keys = ""
        self._timer: asyncio.TimerHandle | None = None

    def on_key(self, event: rtc.SipDTMF) -> None:
        """Take one key."""
        if event.participant is None or event.participant.identity != self._identity:
            return
        self._reporter.report(KeyPressed, digit=event.digit)
        self._keys += event.digit
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._hand_over)

    def _hand_over(self) -> None:
        keys, self._keys, self._timer = self._keys, "", None
        self._session.generate_reply(
            user_input=f"(The person pressed these telephone keys: {' '.join(keys)})"
        )
