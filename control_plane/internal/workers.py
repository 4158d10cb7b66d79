"""What agent workers tell of themselves, beside their calls."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, post
from litestar.params import JSONBody
from msgspec import Struct

from control_plane.domain.errors import NotAuthenticated
from control_plane.http.auth import bearer
from control_plane.internal.jobs import GivenWorkerCheck
from control_plane.sessions.dependencies import GivenCounters
from process.wear import Worn


class WorkerRestart(Struct, frozen=True):
    """A worker begins anew, and why."""

    reason: Worn


class WorkerController(Controller):
    """What workers of ours tell."""

    path = "/internal/workers"
    tags = ("internal",)

    @post("/restarts", operation_id="tellRestart", summary="Tell of a restart", status_code=204)
    async def restart(
        self,
        data: JSONBody[WorkerRestart],
        request: Request[Any, Any, Any],
        counters: GivenCounters,
        is_worker: GivenWorkerCheck,
    ) -> None:
        """Count a worker that begins anew."""
        if not is_worker(bearer(request.headers.get("authorization"))):
            raise NotAuthenticated("this is not a worker's key: LIVEKIT_API_SECRET differs")
        counters.restarted(data.reason)
