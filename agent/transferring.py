"""Passing the person on to somebody else: one at a time, to the configured numbers alone.

By REFER where the trunk takes it. Otherwise, and where their side does not do it, the human is
called into the room, and the agent leaves the two alone. A warm transfer calls them so as well, and
has them say first that they take the call (`agent/warm`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from livekit.agents import AgentSession, ToolError

from agent.audio.mixing import Loop
from agent.audio.sounds import Plays, ringback
from agent.ending import Ending
from agent.far_end import FarEnd
from agent.limits import SilenceWatch
from agent.reporter import Reporter
from agent.transfer_failure import Failure, of_human, of_refer
from agent.warm.introduction import Introduction
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

_K = TransferFailureKind
NO_REFER, BROWSER = "no_refer", "browser"
"""Why a human is called instead: the trunk's setting says so, or there is no telephone."""
_BRIDGED = frozenset({_K.UNSUPPORTED, _K.SILENT, _K.SERVICE})
"""What becomes of a REFER after which the human is called: nobody's phone rang."""


class Transferring:
    """Transfers of one call (RFC 3515, a bridge, or warm), and what becomes of the person.

    Args:
        introduction: calls humans in where transfers are warm.
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
        introduction: Introduction,
    ) -> None:
        self._brief = brief
        self._session = session
        self._far_end = far_end
        self._reporter = reporter
        self._ending = ending
        self._silence = silence
        self._output = output
        self._introduction = introduction
        self._task: asyncio.Task[None] | None = None
        self._by_refer = False
        self._why_no_refer = why_no_refer(brief)
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
        if self._introduction.is_wanted and not self._introduction.can_be_made:
            raise _refusal("there is no voice to introduce the person with")
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
        self._silence.pause()
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
                f"on the line, and heard {self._heard} meanwhile. Tell them so in one sentence and "
                "go on without it: help them yourself, or offer that a colleague calls back."
            )

    async def _to_one_of(self, targets: Sequence[TransferTarget], reason: str) -> Failure | None:
        """Return null once the call is somebody else's, or why the last of them has it not."""
        failure = None
        for target in targets:
            to = target.phone_number
            self._reporter.report(TransferBegan, to_phone_number=to, reason=reason)
            try:
                failure = await self._pass_on(target, reason)
            except asyncio.CancelledError:
                if self._introduction.is_wanted:
                    failed = HumanResult.CALLER_LEFT.value
                    self._reporter.report(TransferFailed, to_phone_number=to, why=failed)
                raise
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
        if self._introduction.is_wanted:
            return self._of(await self._introduction.to(to, reason))
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
        return self._of(await self._bridge(to, reason, self._why_no_refer))

    def _of(self, human: HumanView) -> Failure | None:
        """Leave the person with a human who has the call, or return why they have it not."""
        if human.result is not HumanResult.ANSWERED:
            return of_human(human)
        self._ending.end(EndedBy.AGENT, EndReason.TRANSFER, hands_over=True)
        return None

    @property
    def _heard(self) -> str:
        return "music" if self._introduction.is_wanted else "it ring"

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


def why_no_refer(brief: CallBrief) -> str | None:
    """Return why the person's side is not asked to call the human; null where it is."""
    if brief.direction is Direction.BROWSER:
        return BROWSER
    return None if brief.takes_refer else NO_REFER


def _refusal(why: str) -> ToolError:
    return ToolError(f"transfer_call did nothing: {why}. Go on without it.")


def _digits(number: str) -> str:
    return "".join(each for each in number if each.isdigit())
