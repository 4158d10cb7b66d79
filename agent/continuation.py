"""One turn, however many sentences: what the person adds right after belongs to what they said.

An agent that answers soon sometimes answers into a pause. Then it falls silent at the first sound,
and what the person said before and after is one turn: to the model, and in the transcript.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from livekit.agents import ConversationItemAddedEvent, UserStateChangedEvent, stt
from livekit.agents.llm import ChatContext, ChatItem, ChatMessage

from agent.hearing import text_of
from agent.typed import TYPED

GOES_ON_S = 1.5
"""A person who speaks again so soon, before the reply was heard whole, goes on with their turn."""
END_LAG_S, START_LAG_S = 0.25, 0.1
"""By so much voice activity detection tells of an end and of a beginning after the sound itself."""
AT_ONCE_S = 0.01
"""Speech that stops the agent where the turn just goes on: the first that is noticed."""


class Rhythm(Protocol):
    """Who learns how long a person pauses."""

    def went_on(self, pause_s: float) -> None:
        """The person paused for so long inside a turn."""

    def ended(self) -> None:
        """A turn was over when it was taken to be."""


class Talk(Protocol):
    """What is looked at of a session."""

    @property
    def options(self) -> Any: ...
    def on(self, event: Any, callback: Callable[..., Any], /) -> Any:
        """Call `callback` with every event of this name."""


class Continuation:
    """Knows whether the person goes on with the turn before, and joins the words.

    Args:
        rhythm: told of each pause inside a turn; null where silence alone decides.
        on_taken_back: called with a message of the person whose words come again, in a longer one.
        is_pending: whether a tool's call, by its id, has not been carried out: whoever goes on
            takes it back.
    """

    def __init__(
        self,
        session: Talk,
        rhythm: Rhythm | None,
        *,
        on_taken_back: Callable[[ChatMessage], None],
        is_pending: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = session.options
        self._rhythm = rhythm
        self._on_taken_back = on_taken_back
        self.is_pending = is_pending
        self._clock = clock
        self._interrupt_s: float = session.options.interruption["min_duration"]
        self._quiet_since = -math.inf
        self._began_at = -math.inf
        self._speaks = False
        self._is_open = False  # they have spoken, and no turn has been made of it
        self._turn: ChatMessage | None = None  # the latest; no reply to it was heard whole
        self._has_resumed = False  # they speak again soon after, and nothing is written down of it
        self._goes_on = False
        session.on("user_state_changed", self._on_user_state)
        session.on("conversation_item_added", self._on_item)

    @property
    def is_undecided(self) -> bool:
        """Whether the person speaks again, and their words have not been written down."""
        return self._goes_on

    def joined(
        self, event: stt.SpeechEvent, context: ChatContext
    ) -> tuple[stt.SpeechEvent, ChatContext | None]:
        """Return `event` with the words of the whole turn, and `context` without its first part.

        The context is null where nothing changes in it.
        """
        words = text_of(event)
        if not words or event.type is not stt.SpeechEventType.FINAL_TRANSCRIPT:
            return event, None
        turn, goes_on = self._turn, self._goes_on
        self._goes_on = False
        if not self._is_of_before(event):
            self._has_resumed = False
        if not goes_on or turn is None:
            return event, None
        self._turn = None
        self._on_taken_back(turn)
        whole = f"{turn.text_content} {words}"
        first, *others = event.alternatives
        return (
            replace(event, alternatives=[replace(first, text=whole), *others]),
            self._without(context, turn),
        )

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        now = self._clock()
        self._speaks = event.new_state == "speaking"
        self._options.interruption["min_duration"] = self._interrupt_s
        if not self._speaks:
            self._quiet_since, self._is_open = now - END_LAG_S, True
            return
        self._began_at = now - START_LAG_S
        pause_s = max(0.0, self._began_at - self._quiet_since)
        self._has_resumed = pause_s <= GOES_ON_S
        if not self._has_resumed:
            self._goes_on, self._turn = False, None
            return
        if self._turn is not None:
            self._go_on()
        if self._rhythm is not None and (self._goes_on or self._is_open):
            self._rhythm.went_on(pause_s)

    def _is_of_before(self, event: stt.SpeechEvent) -> bool:
        """Whether these words were said before the person spoke again: some are written late."""
        return event.speech_end_time is not None and event.speech_end_time < self._began_at

    def _go_on(self) -> None:
        self._goes_on = True
        if self._speaks:
            self._options.interruption["min_duration"] = AT_ONCE_S

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage):
            return
        if item.extra.get(TYPED):  # what they say next is no part of it
            self._turn, self._goes_on = None, False
        elif item.role == "user":
            self._turn, self._is_open, self._goes_on = item, False, False
            if self._has_resumed:  # just before this turn was made
                self._go_on()
        elif item.role == "assistant" and not item.interrupted:
            if self._turn is not None and self._rhythm is not None:
                self._rhythm.ended()
            self._turn, self._goes_on = None, False

    def _without(self, context: ChatContext, turn: ChatMessage) -> ChatContext:
        """Return `context` less a turn, and less the requests that it came to."""
        at = next((n for n, item in enumerate(context.items) if item.id == turn.id), None)
        if at is None:
            return context.copy()
        kept: list[ChatItem] = [
            item
            for n, item in enumerate(context.items)
            if n < at or (n > at and not self._is_pending(item))
        ]
        return ChatContext(kept)

    def _is_pending(self, item: ChatItem) -> bool:
        if item.type in ("function_call", "function_call_output"):
            return self.is_pending(item.call_id)
        return False
