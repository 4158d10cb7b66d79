"""Watchdogs of a live call: its longest duration, and silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.voice import SpeechHandle

from agent.ending import Ending
from agent.speaker import Speaker
from agent.stock_phrases import stock_phrases
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.events import EndedBy, EndReason

FAREWELL_S = 9.0
"""Set aside for `max_duration_end_message` (≤ 150 characters), so that it ends by the limit."""


async def played(speech: SpeechHandle, limit_s: float) -> None:
    """Return when `speech` was heard or interrupted, or the limit has passed."""
    await asyncio.wait([asyncio.ensure_future(speech.wait_for_playout())], timeout=limit_s)


async def enforce_max_duration(
    limit_s: int, message: str, speaker: Speaker, ending: Ending, answered_at: float
) -> None:
    """End the call when `limit_s` have passed since `answered_at` (monotonic).

    `message`, where there is one, is spoken so that it ends by then.
    """
    reserve_s = min(FAREWELL_S, limit_s / 2) if message else 0.0
    await _until(answered_at + limit_s - reserve_s)
    if message:
        speaker.interrupt()
        handle = speaker.say(message, allow_interruptions=False)
        await played(handle, max(0.0, answered_at + limit_s - time.monotonic()))
    ending.end(EndedBy.SYSTEM, EndReason.MAX_DURATION)


class SilenceWatch:
    """Asks twice, then hangs up, when nobody speaks for `silence_timeout_secs` in all.

    Args:
        holds: whether the agent says nothing of its own now.
        is_away: whether the person is out of the room, and waited for: then nobody is asked.
        is_dealt_with: told how often nobody has answered; whether somebody else acts on it.
    """

    def __init__(
        self,
        spec: AssistantSpec,
        session: AgentSession[Any],
        speaker: Speaker,
        ending: Ending,
        *,
        holds: Callable[[], bool] = lambda: False,
        is_away: Callable[[], bool] = lambda: False,
        is_dealt_with: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._is_away = is_away
        self._is_dealt_with = is_dealt_with
        self._phrases = stock_phrases(spec.language)
        self._step_s = spec.silence_timeout_secs / (len(self._phrases.asks) + 1)
        self._session = session
        self._speaker = speaker
        self._ending = ending
        self._holds = holds
        self._stirred = asyncio.Event()
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("agent_state_changed", self._on_agent_state)
        self._asked = 0
        self._asking = False
        self._is_held = False

    async def run(self) -> None:
        """Watch until the call is silent for too long."""
        while True:
            self._stirred.clear()
            try:
                async with asyncio.timeout(self._step_s):
                    await self._stirred.wait()
            except TimeoutError:
                if self._busy() or self._is_dealt_with(self._asked):
                    continue
                if self._asked < len(self._phrases.asks):
                    await self._say(self._phrases.asks[self._asked])
                    self._asked += 1
                    continue
                await self._say(self._phrases.silent)
                if not self._stirred.is_set():  # else they spoke into it
                    self._ending.end(EndedBy.AGENT, EndReason.SILENCE)
                    return

    def stir(self) -> None:
        """The person did something that makes no sound, such as pressing a key."""
        self._asked = 0
        self._stirred.set()

    def pause(self) -> None:
        """Let the call be silent until `go_on`."""
        self._is_held = True

    def go_on(self) -> None:
        """Watch again, from now on."""
        self._is_held = False
        self.stir()

    def _busy(self) -> bool:
        return (
            self._is_held
            or self._holds()
            or self._session.agent_state in ("speaking", "thinking")
            or self._session.user_state == "speaking"
            or self._is_away()
        )

    async def _say(self, text: str) -> None:
        self._asking = True
        await self._speaker.say(text)
        self._asking = False

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._stirred.set()

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._asked = 0
            self._stirred.set()

    def _on_agent_state(self, _event: AgentStateChangedEvent) -> None:
        if not self._asking:
            self._stirred.set()


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
