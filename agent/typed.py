"""What the person of a browser session types: a turn of theirs, answered aloud.

It comes as one remote call of their page, the only data that is taken from there, and is answered
once it stands in the conversation: of what was not taken, the page is told why.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession

from agent.ending import Ending
from agent.limits import played
from agent.prompt import plain

METHOD = "offhook.type"
MOST_CHARACTERS = 1_000
MOST_MESSAGES, WITHIN_S = 10, 60.0
"""So many are taken in whichever minute ends now."""
TYPED = "typed"
"""In `extra` of a message, as its listeners are told it: it was not spoken."""
HUSH_LIMIT_S = 1.0


class Refusal(IntEnum):
    """Why a message was not taken: the code of the error that the page gets."""

    TOO_LONG = 2001
    TOO_MANY = 2002
    EMPTY = 2003
    NOT_NOW = 2004


_WORDS = {
    Refusal.TOO_LONG: f"the message has more than {MOST_CHARACTERS} characters: shorten it",
    Refusal.TOO_MANY: f"{MOST_MESSAGES} messages a minute are taken: send it again in a moment",
    Refusal.EMPTY: "the message holds no words",
    Refusal.NOT_NOW: "the conversation is over, or has not begun",
}


class TypedTurns:
    """Takes a person's messages, one after the other, until the conversation is over.

    Args:
        take: puts a message into the conversation and has it answered.
        on_typed: called at each that is taken.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        ending: Ending,
        take: Callable[[str], Awaitable[None]],
        on_typed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._ending = ending
        self._take = take
        self._on_typed = on_typed
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=MOST_MESSAGES)
        self._in_turn = asyncio.Lock()

    def follow(self, room: rtc.Room, identity: str) -> None:
        """Take what the participant of that identity types in `room`, and nobody else."""

        async def on_call(call: rtc.RpcInvocationData) -> str:
            if call.caller_identity != identity:
                raise _error(Refusal.NOT_NOW)
            await self.say(call.payload)
            return ""

        room.local_participant.register_rpc_method(METHOD, on_call)

    async def say(self, typed: str) -> None:
        """Take one message.

        Raises:
            livekit.rtc.RpcError: it was not taken; with a code of `Refusal`.
        """
        text = plain(typed, MOST_CHARACTERS + 1).strip()
        self._check(text)
        async with self._in_turn:
            await self._hush()
            if self._ending.done:
                raise _error(Refusal.NOT_NOW)
            self._on_typed()
            try:
                await self._take(text)
            except RuntimeError as exc:  # the session is closing
                raise _error(Refusal.NOT_NOW) from exc

    def _check(self, text: str) -> None:
        if self._ending.done:
            raise _error(Refusal.NOT_NOW)
        if not text:
            raise _error(Refusal.EMPTY)
        if len(text) > MOST_CHARACTERS:
            raise _error(Refusal.TOO_LONG)
        now = self._clock()
        if len(self._taken) == MOST_MESSAGES and now - self._taken[0] < WITHIN_S:
            raise _error(Refusal.TOO_MANY)
        self._taken.append(now)

    async def _hush(self) -> None:
        """Have the agent fall silent, as words would: not where it may not be interrupted."""
        speech = self._session.current_speech
        if speech is not None and speech.allow_interruptions and not speech.done():
            speech.interrupt()
            await played(speech, HUSH_LIMIT_S)  # what was heard of it is written down before


def _error(why: Refusal) -> rtc.RpcError:
    return rtc.RpcError(why.value, _WORDS[why])
