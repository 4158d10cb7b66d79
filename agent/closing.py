"""Hanging up because the model wants to: never while the person speaks, nor on half of a turn."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from agent.ending import Ending
from agent.limits import played
from agent.speaker import Speaker
from control_plane.domain.events import EndedBy, EndReason

PLAYOUT_LIMIT_S = 20.0
QUIET_S = 0.65
"""Silence before the closing sentence and before hanging up, counted from where voice activity
detection has ended the person's speech: about 0.9 s after their last sound."""
WORDS_LIMIT_S = 2.0
"""By then what the person said has been written down, or it was no word."""


class Closing:
    """Says the closing sentence and ends the call, once the person has finished too.

    Whatever the person says in between takes the wish back: the model is asked anew with all of
    it, and wants to hang up again or answers.

    Args:
        sentence: said before the call ends; none when the agent has spoken in that turn.
        fallback: said in its place, when the agent has not spoken either.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        speaker: Speaker,
        ending: Ending,
        *,
        sentence: str,
        fallback: str,
    ) -> None:
        self._session = session
        self._speaker = speaker
        self._ending = ending
        self._sentence = sentence
        self._fallback = fallback
        self._said = False  # the closing sentence, to its end
        self._stirred = asyncio.Event()
        self._quiet_since = time.monotonic()
        self._unwritten = False  # the person spoke, and no words have come of it
        self._went_on = False  # they said something since the model wanted to hang up
        self._task: asyncio.Task[None] | None = None
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("conversation_item_added", self._on_item)

    def begin(self) -> None:
        """The model wants to hang up."""
        if self._task is not None:
            self._task.cancel()
        self._went_on, self._unwritten = False, self._session.user_state == "speaking"
        self._task = asyncio.create_task(self._close(), name="closing")

    async def aclose(self) -> None:
        """Think no more of it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _close(self) -> None:
        current = self._session.current_speech
        spoke = False
        if current is not None:
            await played(current, PLAYOUT_LIMIT_S)
            spoke = any(item.type == "message" for item in current.chat_items)
            if current.interrupted:
                return
        sentence = self._sentence or ("" if spoke else self._fallback)
        if sentence and not self._said:
            if not await self._person_is_done():
                return
            handle = self._speaker.say(sentence)
            await played(handle, PLAYOUT_LIMIT_S)
            if handle.interrupted:
                return
            self._said = True
        if await self._person_is_done():
            self._ending.end(EndedBy.AGENT, EndReason.TOOL_END_CALL)

    async def _person_is_done(self) -> bool:
        """Return once the person is quiet, and whether they have said nothing new."""
        while not self._went_on:
            self._stirred.clear()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._stirred.wait()
            except TimeoutError:
                return not self._went_on
        return False

    def _wait_s(self) -> float | None:
        if self._session.user_state == "speaking":
            return None
        limit_s = WORDS_LIMIT_S if self._unwritten else QUIET_S
        return max(0.0, self._quiet_since + limit_s - time.monotonic())

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._unwritten = True
        else:
            self._quiet_since = time.monotonic()
        self._stirred.set()

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final and event.transcript.strip():
            self._wrote()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message" and event.item.role == "user":
            self._wrote()

    def _wrote(self) -> None:
        # A model that hears by itself writes down late: words without a sound before them in
        # this while belong to what made it want to hang up.
        if self._unwritten:
            self._unwritten, self._went_on = False, True
            self._stirred.set()
