"""How a call ends: the first reason wins."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from agent.reporter import Reporter
from control_plane.domain.events import (
    AgentLeft,
    AttemptResult,
    CallEnded,
    EndedBy,
    EndReason,
    HandedOver,
)


class Verdict(Struct, frozen=True):
    """Who ended the call and why; `reason` is null when the person hung up.

    With `is_open` it is over for this agent alone: another may be sent to the same room. With
    `hands_over`, too: the person and a human talk on in it.
    """

    by: EndedBy
    reason: EndReason | None = None
    detail: str = ""
    is_open: bool = False
    hands_over: bool = False


def report_end(reporter: Reporter, verdict: Verdict, result: AttemptResult) -> None:
    """Report how a call ended and what answered it."""
    if verdict.is_open:
        reporter.report(AgentLeft)
        return
    if verdict.hands_over:
        reporter.report(HandedOver, result=result)
        return
    reporter.report(
        CallEnded,
        ended_by=verdict.by,
        end_reason=verdict.reason,
        result=result,
        detail=verdict.detail,
    )


class Ending:
    """One future that every watcher of a call may complete; only the first does."""

    def __init__(self) -> None:
        self._verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    def end(
        self,
        by: EndedBy,
        reason: EndReason | None = None,
        detail: str = "",
        *,
        is_open: bool = False,
        hands_over: bool = False,
    ) -> None:
        """End the call for this reason, unless it is ending already."""
        if not self._verdict.done():
            self._verdict.set_result(Verdict(by, reason, detail, is_open, hands_over))

    @property
    def done(self) -> bool:
        """Whether the call is ending."""
        return self._verdict.done()

    async def wait(self) -> Verdict:
        """Return the verdict once there is one; safe to cancel."""
        return await asyncio.shield(self._verdict)
