"""The person's side of a conversation: when it is there, and what it means that it is gone.

A phone is there once it was answered, and gone when it hangs up. Who came by a browser is there
once their microphone is, and may lose the connection and be back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from livekit import rtc
from msgspec import Struct

from agent.ending import Ending
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.browser import BACK_WITHIN_S
from control_plane.domain.events import EndedBy, EndReason

MICROPHONE_S = 60.0
"""How long somebody who has come may take to allow the page their microphone."""
HANG_UPS = (
    rtc.DisconnectReason.CLIENT_INITIATED,
    rtc.DisconnectReason.ROOM_DELETED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED,
)


class Seen(Struct, frozen=True):
    """What the room shows of the person who is in it.

    Attributes:
        is_active: of a phone: it was answered.
        is_heard: a track with their sound is there.
        is_on_hold: their telephone holds the call.
    """

    is_active: bool
    is_heard: bool
    is_on_hold: bool = False


class Presence:
    """A phone's side; `answered` is set once the person is there.

    Args:
        answer_within_s: how long the agent, once ready, waits for that.
    """

    def __init__(self, ending: Ending, *, answer_within_s: float) -> None:
        self.answered = asyncio.Event()
        self._ending = ending
        self._answer_within_s = answer_within_s
        self._is_on_hold = False

    @property
    def is_away(self) -> bool:
        """Whether the person is waited for after they were there."""
        return self._is_on_hold

    async def wait_answered(self) -> bool:
        """Return whether the person was there before the call ended."""
        if not await self._answered_or_over(self._answer_within_s):
            self._ending.end(EndedBy.SYSTEM, EndReason.NOT_ANSWERED)
        return self.answered.is_set() and not self._ending.done

    def shows(self, seen: Seen) -> None:
        """The person is in the room, with these signs."""
        self._is_on_hold = seen.is_on_hold
        if seen.is_active:
            self.answered.set()

    def left(
        self,
        reason: rtc.DisconnectReason.ValueType | None,
        *,
        is_lost: bool,
        line_lost: str = "",
    ) -> None:
        """The person is not in the room any more.

        Args:
            is_lost: the SIP service that carried them died.
            line_lost: why that service gave up a line on which nobody hung up.
        """
        if not self.answered.is_set():
            self._ending.end(EndedBy.USER, EndReason.NOT_ANSWERED)
        elif is_lost:
            self._ending.end(EndedBy.SYSTEM, EndReason.SIP_SERVICE_LOST, "the gateway died")
        elif line_lost:
            self._ending.end(EndedBy.SYSTEM, EndReason.CONNECTION_LOST, line_lost)
        elif reason in HANG_UPS:
            self._ending.end(EndedBy.USER)
        else:
            self._ending.end(EndedBy.SYSTEM, EndReason.SIP_SERVICE_LOST, _name(reason))

    def close(self) -> None:
        """Wait for nobody any more."""

    async def _answered_or_over(self, limit_s: float, *more: asyncio.Event) -> bool:
        """Return whether one of them came within the limit: the answer, the end, or `more`."""
        waits = [
            asyncio.ensure_future(each)
            for each in (
                self.answered.wait(),
                self._ending.wait(),
                *(event.wait() for event in more),
            )
        ]
        try:
            done, _ = await asyncio.wait(
                waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)


class BrowserPresence(Presence):
    """The side of somebody who comes by a browser.

    An agent that nobody comes to leaves the session open: another is sent when somebody does.
    """

    def __init__(
        self,
        ending: Ending,
        *,
        answer_within_s: float,
        microphone_s: float = MICROPHONE_S,
        back_within_s: float = BACK_WITHIN_S,
    ) -> None:
        super().__init__(ending, answer_within_s=answer_within_s)
        self._microphone_s = microphone_s
        self._back_within_s = back_within_s
        self._is_here = False
        self._moved = asyncio.Event()  # in or out
        self._waiting: asyncio.TimerHandle | None = None

    @property
    def is_away(self) -> bool:
        """Whether the person is waited for after they were there."""
        return self._waiting is not None

    async def wait_answered(self) -> bool:
        """Return whether the person was there before the session ended, or nobody came."""
        while not (self.answered.is_set() or self._ending.done):
            self._moved.clear()
            limit_s = self._microphone_s if self._is_here else self._answer_within_s
            if await self._answered_or_over(limit_s, self._moved):
                continue
            if self._is_here:
                why = "no sound of a microphone came: the page was not allowed it, or has none"
                self._ending.end(EndedBy.USER, EndReason.NOT_ANSWERED, why)
            else:
                self._ending.end(EndedBy.SYSTEM, None, "nobody came", is_open=True)
        return self.answered.is_set() and not self._ending.done

    def shows(self, seen: Seen) -> None:
        """The person is in the room, with these signs."""
        self._stop_waiting()
        if not self._is_here:
            self._is_here = True
            self._moved.set()
        if seen.is_heard:
            self.answered.set()

    def left(
        self,
        reason: rtc.DisconnectReason.ValueType | None,
        *,
        is_lost: bool,
        line_lost: str = "",
    ) -> None:
        """The person is not in the room any more; without goodbye, they are waited for."""
        self._is_here = False
        self._moved.set()
        if not self.answered.is_set():
            return
        if reason in HANG_UPS:
            self._ending.end(EndedBy.USER)
            return
        self._stop_waiting()
        loop = asyncio.get_running_loop()
        self._waiting = loop.call_later(self._back_within_s, self._give_up, _name(reason))

    def close(self) -> None:
        """Wait for nobody any more."""
        self._stop_waiting()

    def _give_up(self, why: str) -> None:
        self._ending.end(EndedBy.SYSTEM, EndReason.CONNECTION_LOST, why)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def presence_of(brief: CallBrief, ending: Ending) -> Presence:
    """Return the side of the person whom `brief` is about."""
    kind = BrowserPresence if brief.direction is Direction.BROWSER else Presence
    return kind(ending, answer_within_s=brief.answer_timeout_secs)


def _name(reason: rtc.DisconnectReason.ValueType | None) -> str:
    with suppress(ValueError):
        if reason is not None:
            return rtc.DisconnectReason.Name(reason)
    return "unknown"
