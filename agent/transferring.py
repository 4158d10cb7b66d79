"""Passing the person on to somebody else: one at a time, to the configured numbers alone.

By REFER where the trunk takes it. Otherwise, and where their side does not do it, the human is
called into the room, and the agent leaves the two alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from livekit.agents import AgentSession, ToolError
from msgspec import Struct

from agent.audio.mixing import Loop
from agent.audio.sounds import Plays, ringback
from agent.ending import Ending
from agent.far_end import FarEnd
from agent.limits import SilenceWatch
from agent.reporter import Reporter
from control_plane.domain.assistant import humans_of
from control_plane.domain.brief import CallBrief, Direction
from control_plane.domain.events import (
    CallTransferred,
    EndedBy,
    EndReason,
    TransferBegan,
    TransferFailed,
)
from control_plane.domain.human_leg import HumanResult, HumanView
from control_plane.domain.transfer_targets import TransferTarget
from sip.ports import TransferFailure, TransferFailureKind

_K, _R = TransferFailureKind, HumanResult
NO_REFER = "no_refer"
"""Why a human is called instead, where the trunk's setting says so."""
_BRIDGED = frozenset({_K.UNSUPPORTED, _K.SILENT, _K.SERVICE})
"""What becomes of a REFER after which the human is called: nobody's phone rang."""
_UNREACHABLE, _BUSY = "the number there cannot be reached", "the line there is busy"
_NOBODY, _DECLINED = "nobody is there", "it was declined"
_TECHNICAL = "it failed for a technical reason"
_BY_STATUS = {
    **dict.fromkeys((486, 600), _BUSY),
    **dict.fromkeys((404, 410, 484, 604), _UNREACHABLE),
    **dict.fromkeys((408, 480, 487), _NOBODY),
}
_BY_RESULT = {
    _R.BUSY: _BUSY,
    _R.NO_ANSWER: "nobody took it",
    _R.UNREACHABLE: _UNREACHABLE,
    _R.DECLINED: _DECLINED,
    _R.FORBIDDEN: "that number may not be called",
    _R.NO_LINE: "no telephone line is free for it now",
}


class Failure(Struct, frozen=True, kw_only=True):
    """Why the person was not passed on: the event's word, and words for the model."""

    why: str
    words: str
    sip_status: int | None = None
    detail: str = ""


class Transferring:
    """Cold transfers of one call (RFC 3515, or a bridge), and what becomes of the person.

    Args:
        silence: does not ask whether the person is there, meanwhile.
        output: where the person hears it ring while the human is called.
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
        output: Plays,
    ) -> None:
        self._brief = brief
        self._session = session
        self._far_end = far_end
        self._reporter = reporter
        self._ending = ending
        self._silence = silence
        self._output = output
        self._task: asyncio.Task[None] | None = None
        self._by_refer = False
        self._why_no_refer = None if brief.takes_refer else NO_REFER
        self._on_left: Callable[[], None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether one has begun and is not over."""
        return self._task is not None and not self._task.done()

    def check(self) -> list[TransferTarget]:
        """Return whom the call is passed on to, in order.

        Raises:
            ToolError: nobody can be passed on now, for a reason that the model is told.
        """
        targets = humans_of(self._brief.assistant)
        if not targets:
            raise _refusal("no number is configured to pass calls on to")
        if not self._far_end.is_telephone:
            raise _refusal("the person is not on a telephone")
        if self.is_under_way:
            raise _refusal("they are being passed on already: wait for what comes of it")
        own = _digits(self._persons_number)
        others = [each for each in targets if _digits(each.phone_number) != own]
        if not others:
            raise _refusal("the number to pass calls on to is the person's own")
        now = datetime.now(UTC)
        there = [each for each in others if each.hours is None or each.hours.include(now)]
        if not there:
            raise _refusal("nobody takes calls at this hour")
        return there

    def begin(self, targets: Sequence[TransferTarget], reason: str) -> None:
        """Pass the person on to the first of `targets` who answers; returns at once."""
        if not self.is_under_way:
            self._task = asyncio.create_task(self._transfer(targets, reason), name="transfer")

    def left(self, on_left: Callable[[], None]) -> bool:
        """The person has left the call; return whether that is for the transfer to judge.

        Args:
            on_left: called when they just hung up, while they were being passed on.
        """
        if not (self.is_under_way and self._by_refer):
            return False
        self._on_left = on_left
        return True

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

    async def _transfer(self, targets: Sequence[TransferTarget], reason: str) -> None:
        self._silence.hold()
        try:
            failure = await self._to_one_of(targets, reason)
        finally:
            self._silence.go_on()
        if failure is None:
            return
        if self._on_left is not None:
            self._on_left()
        elif failure.why != _K.HUNG_UP and not self._ending.done:
            self._session.generate_reply(
                instructions=f"The person could not be passed on: {failure.words}. They are still "
                "on the line, and heard it ring meanwhile. Tell them so in one sentence and "
                "go on without it: help them yourself, or offer that a colleague calls back."
            )

    async def _to_one_of(self, targets: Sequence[TransferTarget], reason: str) -> Failure | None:
        """Return null once the call is somebody else's, or why the last of them has it not."""
        failure = None
        for target in targets:
            to = target.phone_number
            self._reporter.report(TransferBegan, to_phone_number=to, reason=reason)
            failure = await self._pass_on(target, reason)
            if failure is None:
                return None
            self._reporter.report(
                TransferFailed,
                to_phone_number=to,
                why=failure.why,
                sip_status=failure.sip_status,
                detail=failure.detail,
            )
            if self._on_left is not None or failure.why == _K.HUNG_UP or self._ending.done:
                break
        return failure

    async def _pass_on(self, target: TransferTarget, reason: str) -> Failure | None:
        """Return null once the call is the target's, or why it is not."""
        to = target.phone_number
        if self._why_no_refer is None:
            failure = await self._refer(target)
            if failure is None:
                self._reporter.report(CallTransferred, to_phone_number=to, reason=reason)
                self._ending.end(EndedBy.AGENT, EndReason.TRANSFER)
                return None
            if self._on_left is not None or failure.kind not in _BRIDGED:
                return of_refer(failure)
            self._why_no_refer = " ".join(
                str(each) for each in (failure.kind, failure.sip_status) if each
            )
        human = await self._bridge(to, reason, self._why_no_refer)
        if human.result is not HumanResult.ANSWERED:
            return of_human(human)
        self._ending.end(EndedBy.AGENT, EndReason.TRANSFER, hands_over=True)
        return None

    async def _refer(self, target: TransferTarget) -> TransferFailure | None:
        self._by_refer = True
        try:
            return await self._far_end.transfer(target.phone_number, ringing_s=target.ring_secs)
        finally:
            self._by_refer = False

    async def _bridge(self, to: str, reason: str, because: str) -> HumanView:
        """Have the human called; the person hears it ring until they have answered, or do not."""
        tone = Loop(ringback(), _VOLUME, under_words=True)
        self._output.play(tone)
        try:
            return await self._far_end.bring_in(to, reason=reason, because=because)
        finally:
            self._output.stop(tone)


_VOLUME = 0.5


def of_refer(failure: TransferFailure) -> Failure:
    """Return what a REFER's failure means."""
    words = {_K.UNANSWERED: "nobody took it", _K.SERVICE: _TECHNICAL}.get(failure.kind)
    if words is None:
        words = _BY_STATUS.get(failure.sip_status or 0, _DECLINED)
    return Failure(
        why=failure.kind.value,
        words=words,
        sip_status=failure.sip_status,
        detail=failure.sip_reason,
    )


def of_human(human: HumanView) -> Failure:
    """Return what it means that a human was not reached."""
    result = human.result or HumanResult.FAILED
    return Failure(
        why=result.value,
        words=_BY_RESULT.get(result, _TECHNICAL),
        sip_status=human.sip_status,
        detail=human.detail,
    )


def _refusal(why: str) -> ToolError:
    return ToolError(f"transfer_call did nothing: {why}. Go on without it.")


def _digits(number: str) -> str:
    return "".join(each for each in number if each.isdigit())
