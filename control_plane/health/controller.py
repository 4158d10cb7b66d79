"""Health over HTTP."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from control_plane.health.dependencies import GivenProbes
from control_plane.health.probes import Readiness


class Liveness(Struct, frozen=True):
    """The process answers."""

    live: bool


class HealthController(Controller):
    """For supervisors and people; needs no key."""

    path = "/health"
    tags = ("health",)

    @get("/live", operation_id="live", summary="Is the process alive")
    async def live(self) -> Liveness:
        """Answer."""
        return Liveness(live=True)

    @get(
        "/ready",
        operation_id="ready",
        summary="Could a call be placed now",
        responses={503: ResponseSpec(Readiness, description="Something is missing")},
    )
    async def ready(self, probes: GivenProbes) -> Response[Readiness]:
        """Return every part, what is missing and its remedy; 503 unless all are there."""
        readiness = await probes.check()
        return Response(readiness, status_code=200 if readiness.ready else 503)
