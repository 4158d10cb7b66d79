"""A caller is never left in silence: what fills the wait for a reply that is late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import (
    ToolExecutionUpdatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from agent.spoken import Spoken

FIRST_S = 1.2
"""Silence before the first filler; it takes a fifth of a second more to be heard."""
FIRST_BESIDE_SOUND_S = 5.0
"""The same while the thinking sound tells the caller that somebody is at work."""
FIRST_UNTOLD_S = 2.2
"""The same where nobody knows that a reply is on its way: perhaps the model thinks none is due."""
NEXT_S = 2.1
"""The same after it: its own sound ends with a little silence, and three seconds are too many."""
GIVE_UP_S = 9.0
"""A reply later than this does not come: a provider would have failed for good by then."""
GIVE_UP_WITH_TOOLS_S = 25.0
"""The same while tools are at work; they may take ten seconds each."""
WORTH_WORDS_S = 0.8
"""Speech shorter than this that has no words was a cough; nobody waits for an answer to it."""
_LOOK_S = 0.1


class Talk(Protocol):
    """What is looked at of a session."""

    @property
    def current_speech(self) -> Any: ...
    @property
    def user_state(self) -> str: ...
    @property
    def stt(self) -> Any: ...
    def on(self, event: Any, callback: Callable[..., Any], /) -> Any:
        """Call `callback` with every event of this name."""


class Mouth(Protocol):
    """What is looked at of the line."""

    @property
    def words_until(self) -> float: ...
    @property
    def silent_since(self) -> float: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def is_thinking_aloud(self) -> bool: ...
    def aside(self, frames: Iterable[rtc.AudioFrame]) -> None:
        """Say something that is no part of the session's speech."""


class ReplyFiller:
    """Watches for silence that the agent owes the caller words for.

    Args:
        fillers: sentences ready to be heard; the last one is said again and again.
        untold: the model tells the person's turns itself, and of a reply only when it begins.
        holds: whether the agent says nothing of its own now.
        on_said: called with each filler that is said.
        on_given_up: called once, when there was no word of the reply in time.
    """

    def __init__(
        self,
        session: Talk,
        output: Mouth,
        *,
        on_said: Callable[[str], None],
        on_given_up: Callable[[], None],
        untold: bool = False,
        holds: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._output = output
        self._on_said = on_said
        self._on_given_up = on_given_up
        self._clock = clock
        self._holds = holds
        self._fillers: tuple[Spoken, ...] = ()
        self._owed_since: float | None = None
        self._said = 0
        self._had_tools = False
        self._began_speaking = 0.0
        self._awaits_words = False
        self._untold = untold
        self._awaits_untold = False
        self._spoke_over = False
        session.on("speech_created", lambda _: self._told())
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("user_transcription_timeout", lambda _: self._await_words(awaited=False))
        session.on("tool_execution_updated", self._on_tool)

    def be_ready(self, *fillers: Spoken) -> None:
        """Have these sentences to say."""
        self._fillers = fillers

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.check()

    def check(self) -> None:
        """Say a filler if it is time for one."""
        now = self._clock()
        if self._holds() or not self._owes():
            self._owed_since, self._said, self._had_tools = None, 0, False
            return
        if self._owed_since is None:
            self._owed_since = now
        late_s = now - max(self._owed_since, self._output.words_until)
        quiet_s = now - max(self._owed_since, self._output.silent_since)
        if late_s < FIRST_S:
            self._said = 0
        elif late_s > (GIVE_UP_WITH_TOOLS_S if self._had_tools else GIVE_UP_S):
            self._owed_since = now
            if self._awaits_untold:
                self._awaits_untold = False  # it was no turn, to the model
            else:
                self._on_given_up()
        elif self._fillers and quiet_s >= self._fill_after_s():
            filler = self._fillers[min(self._said, len(self._fillers) - 1)]
            self._said += 1
            self._output.aside(filler.frames)
            self._on_said(filler.text)

    def _fill_after_s(self) -> float:
        if self._said:
            return NEXT_S
        if self._awaits_untold:
            return FIRST_UNTOLD_S
        return FIRST_BESIDE_SOUND_S if self._output.is_thinking_aloud else FIRST_S

    def _owes(self) -> bool:
        """Return whether a reply is on its way while the person waits for it."""
        speech = self._session.current_speech
        replies = speech is not None and not speech.done() and not speech.interrupted
        return (
            (replies or self._awaits_words or self._awaits_untold)
            and self._session.user_state != "speaking"
            and not self._output.is_paused
        )

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        now = self._clock()
        if event.new_state == "speaking":
            self._began_speaking = now
            self._awaits_words = self._awaits_untold = False
            self._spoke_over = self._output.words_until > now
        elif event.old_state == "speaking":
            was_speech = now - self._began_speaking >= WORTH_WORDS_S
            self._await_words(awaited=was_speech)
            self._awaits_untold = self._untold and was_speech and not self._spoke_over

    def _await_words(self, *, awaited: bool) -> None:
        self._awaits_words = awaited and self._session.stt is not None

    def _told(self) -> None:
        self._awaits_untold = False

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._awaits_words = False

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        if event.update.type == "tool_call_started":
            self._had_tools = True
