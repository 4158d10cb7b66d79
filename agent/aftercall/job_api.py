"""The control plane's jobs, as the after-call worker asks for them and reports on them."""

from __future__ import annotations

import os
import socket

import httpx
import msgspec

from agent.internal_api import Refused, Unreachable
from control_plane.domain.job import Job, JobReport, TakenJob
from process.keep_alive import LIMITS
from process.worker_key import worker_key

WAIT_S = 4
_LIMIT_S = 15.0


class JobApi:
    """HTTP client of the internal listener; every method raises `Unreachable` or `Refused`."""

    def __init__(self, base_url: str, livekit_secret: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=_LIMIT_S, limits=LIMITS, trust_env=False
        )
        self._key = worker_key(livekit_secret)
        self._name = f"aftercall:{socket.gethostname()[:60]}:{os.getpid()}"

    async def take(self) -> Job | None:
        """Return a job, or null when there was none for `WAIT_S`."""
        answer = await self._post("/internal/jobs/take", self._key, wait=str(WAIT_S))
        return msgspec.json.decode(answer.content, type=TakenJob).job

    async def report(self, job: Job, report: JobReport) -> None:
        """Store all results so far, and keep the job."""
        await self._post(f"/internal/jobs/{job.id}/report", job.token, msgspec.json.encode(report))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(
        self, path: str, token: str, content: bytes | None = None, **query: str
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            answer = await self._http.post(
                path, content=content, headers=headers, params={"worker": self._name, **query}
            )
        except httpx.TransportError as exc:
            raise Unreachable(type(exc).__name__) from exc
        if answer.status_code >= 500 or answer.status_code == 429:
            raise Unreachable(f"{path} answered {answer.status_code}")
        if answer.is_error:
            raise Refused(f"{path} answered {answer.status_code}")
        return answer
