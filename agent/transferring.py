"""Passing the person on to somebody else: one at a time, to the configured number alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, ToolError

from agent.ending import Ending
from agent.far_end import FarEnd
from agent.limits import SilenceWatch
from agent.reporter import Reporter
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.events import (
    CallTransferred,
    EndedBy,
    EndReason,
    TransferBegan,
    TransferFailed,
)
from sip.ports import TransferFailure, TransferFailureKind

_K = TransferFailureKind
_WORDS = {
    _K.UNSUPPORTED: "this telephone line cannot pass calls on",
    _K.SILENT: "nobody took it",
    _K.SERVICE: "it failed for a technical reason",
}
_BUSY, _UNKNOWN = frozenset({486, 600}), frozenset({404, 410, 484, 604})
_NOBODY = frozenset({408, 480, 487})


class Transferring:
    """Cold transfers of one call (RFC 3515), and what becomes of the person.

    Args:
        silence: does not ask whether the person is there, meanwhile.
    """

    def __init__(
        self,
        brief: CallBrief,
        session: AgentSession[Any],
        far_end: FarEnd,
        *,
        reporter: Reporter,
        ending: Ending,
        silence: SilenceWatch,
    ) -> None:
        self._brief = brief
        self._session = session
        self._far_end = far_end
        self._reporter = reporter
        self._ending = ending
        self._silence = silence
        self._task: asyncio.Task[None] | None = None
        self._on_left: Callable[[], None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether one has begun and is not over."""
        return self._task is not None and not self._task.done()

    def check(self) -> str:
        """Return the number that calls are passed on to.

        Raises:
            ToolError: nobody can be passed on to it now, for a reason that the model is told.
        """
        to = self._brief.assistant.transfer_phone_number
        if to is None:
            raise _refusal("no number is configured to pass calls on to")
        if not self._far_end.is_telephone:
            raise _refusal("the person is not on a telephone")
        if self.is_under_way:
            raise _refusal("they are being passed on already: wait for what comes of it")
        if _digits(to) == _digits(self._persons_number):
            raise _refusal("the number to pass calls on to is the person's own")
        return to

    def begin(self, to: str, reason: str) -> None:
        """Pass the person on; returns at once."""
        if not self.is_under_way:
            self._task = asyncio.create_task(self._transfer(to, reason), name="transfer")

    def left(self, on_left: Callable[[], None]) -> bool:
        """The person has left the call; return whether that is for the transfer to judge.

        Args:
            on_left: called when they just hung up, while they were being passed on.
        """
        if self.is_under_way:
            self._on_left = on_left
        return self.is_under_way

    async def aclose(self) -> None:
        """Wait for nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _persons_number(self) -> str:
        brief = self._brief
        is_caller = brief.direction is Direction.INBOUND
        return brief.from_phone_number if is_caller else brief.to_phone_number

    async def _transfer(self, to: str, reason: str) -> None:
        self._reporter.report(TransferBegan, to_phone_number=to, reason=reason)
        self._silence.hold()
        try:
            failure = await self._far_end.transfer(to)
        finally:
            self._silence.go_on()
        if failure is None:
            self._reporter.report(CallTransferred, to_phone_number=to, reason=reason)
            self._ending.end(EndedBy.AGENT, EndReason.TRANSFER)
            return
        self._reporter.report(
            TransferFailed,
            to_phone_number=to,
            why=failure.kind.value,
            sip_status=failure.sip_status,
            detail=failure.sip_reason,
        )
        if self._on_left is not None:
            self._on_left()
        elif failure.kind is not _K.HUNG_UP and not self._ending.done:
            self._session.generate_reply(
                instructions=f"The person could not be passed on: {what(failure)}. They are still "
                "on the line, and heard a dial tone meanwhile. Tell them so in one sentence and "
                "go on without it: help them yourself, or offer that a colleague calls back."
            )


def what(failure: TransferFailure) -> str:
    """Return in words what came of a transfer."""
    if failure.kind in _WORDS:
        return _WORDS[failure.kind]
    if failure.sip_status in _BUSY:
        return "the line there is busy"
    if failure.sip_status in _UNKNOWN:
        return "the number there cannot be reached"
    if failure.sip_status in _NOBODY:
        return "nobody is there"
    return "it was declined"


def _refusal(why: str) -> ToolError:
    return ToolError(f"transfer_call did nothing: {why}. Go on without it.")


def _digits(number: str) -> str:
    return "".join(each for each in number if each.isdigit())
