"""How a call ends: the first reason wins."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from agent.reporter import Reporter
from control_plane.domain.events import AttemptResult, CallEnded, EndedBy, EndReason


class Verdict(Struct, frozen=True):
    """Who ended the call and why; `reason` is null when the person hung up."""

    by: EndedBy
    reason: EndReason | None = None
    detail: str = ""


def report_end(reporter: Reporter, verdict: Verdict, result: AttemptResult) -> None:
    """Report how a call ended and what answered it."""
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

    def end(self, by: EndedBy, reason: EndReason | None = None, detail: str = "") -> None:
        """End the call for this reason, unless it is ending already."""
        if not self._verdict.done():
            self._verdict.set_result(Verdict(by, reason, detail))

    @property
    def done(self) -> bool:
        """Whether the call is ending."""
        return self._verdict.done()

    async def wait(self) -> Verdict:
        """Return the verdict once there is one; safe to cancel."""
        return await asyncio.shield(self._verdict)
