"""Which conversations a worker takes, and what it tells livekit-server of how full it is."""

from __future__ import annotations

from livekit.agents import AgentServer, JobRequest

from process.logs import get_logger
from sip import leaving

log = get_logger(__name__)

FULL = 0.7
"""The load at which livekit-server 1.13 has no more jobs for a worker (`agents.target_load`)."""


class Admission:
    """Takes up to `most` conversations at a time.

    The cap is counted here because the SDK's own (livekit-agents 1.8.9) guesses what a job weighs
    that was just taken: for an idle worker half of its capacity, so that the third of three calls
    that come at once is refused, and livekit-server asks nobody a second time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taking: set[str] = set()

    def load(self, server: AgentServer) -> float:
        """Return how full the worker is; `FULL` when it takes nothing more."""
        return FULL * self._held(server) / self._most

    async def answer(self, server: AgentServer, request: JobRequest) -> None:
        """Take a job, or leave it to another worker when this one is full."""
        if self._held(server) >= self._most:
            log.warning("this worker is full: a call is left to another one", most=self._most)
            await request.reject(terminate=False)
            return
        self._taking.add(request.id)
        try:
            await request.accept(attributes=leaving.KNOWN)
        finally:
            self._taking.discard(request.id)

    def _held(self, server: AgentServer) -> int:
        return len(self._taking | {each.job.id for each in server.active_jobs})
