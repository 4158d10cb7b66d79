"""Jobs for the after-call worker: taken by our own, reported on by who took one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs, versions
from control_plane.db.base import read_clock
from control_plane.db.crypto import Vault
from control_plane.db.heartbeats import beat
from control_plane.db.models.job import JobRow
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.errors import NotAllowed, NotAuthenticated
from control_plane.domain.job import Job, JobReport, Preview, TakenJob
from control_plane.http.auth import bearer
from control_plane.http.dependencies import GivenDatabase, GivenVault
from control_plane.jobs import repository
from control_plane.keys.dependencies import GivenSigner
from control_plane.keys.tokens import Scope, TokenSigner
from control_plane.providers.needed import access_of, for_agent, providers_of

SWEEP_S = 1.0
REPORT_LIMIT = 8 * 1024 * 1024
_LIFETIME = timedelta(minutes=10)

GivenWorkerCheck = NamedDependency[Callable[[str], bool]]


class JobController(Controller):
    """What the after-call worker asks for."""

    path = "/internal/jobs"
    tags = ("internal",)

    @post("/take", operation_id="takeJob", summary="Take a job", status_code=200)
    async def take(
        self,
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        vault: GivenVault,
        signer: GivenSigner,
        is_worker: GivenWorkerCheck,
        worker: Annotated[str, QueryParameter(max_length=90, description="The worker's name")],
        wait: Annotated[float, QueryParameter(ge=0, le=4, description="Seconds")] = 0,
    ) -> TakenJob:
        """Return the oldest job that waits, or none after `wait` seconds; a sign of life too."""
        if not is_worker(bearer(request.headers.get("authorization"))):
            raise NotAuthenticated("this is not a worker's key: LIVEKIT_API_SECRET differs")
        async with database.transaction() as db:
            await beat(db, repository.WORKER, worker, now=await read_clock(db))
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        while True:
            heard = database.changes.count
            async with database.reading() as db:
                waiting = await repository.is_waiting(db)
            if waiting:
                async with database.transaction() as db:
                    row = await repository.take(db)
                if row is not None:
                    async with database.reading() as db:
                        return TakenJob(await _opened(db, vault, signer, row))
            left = deadline - clock()
            if left <= 0:
                return TakenJob(None)
            await database.changes.wait(since=heard, timeout_s=min(left, SWEEP_S))

    @post(
        "/{job_id:str}/report",
        operation_id="reportJob",
        summary="Report on a job",
        status_code=204,
        request_max_body_size=REPORT_LIMIT,
    )
    async def report(
        self,
        job_id: FromPath[str],
        data: JSONBody[JobReport],
        request: Request[Any, Any, Any],
        database: GivenDatabase,
        signer: GivenSigner,
        worker: Annotated[str, QueryParameter(max_length=90, description="The worker's name")],
    ) -> None:
        """Store all results so far; a conflict once another worker has the job."""
        claims = signer.verify(bearer(request.headers.get("authorization")), Scope.JOB)
        if claims.subject != job_id:
            raise NotAllowed("this token belongs to another job")
        async with database.transaction() as db:
            await beat(db, repository.WORKER, worker, now=await read_clock(db))
            await repository.report(db, job_id, claims.epoch, data)


async def _opened(db: AsyncSession, vault: Vault, signer: TokenSigner, row: JobRow) -> Job:
    text = None
    if row.version_id is not None:
        version = await versions.get(db, row.version_id)
        opened = await specs.opened(db, vault, version.spec)
        spec = await for_agent(db, row.organization_id, opened)
    else:
        wanted = msgspec.convert(row.preview, Preview)
        text = wanted.text
        spec = AssistantSpec(name="", prompt="", voice=wanted.voice, language=wanted.language)
    return Job(
        id=row.id,
        kind=row.kind,
        token=signer.issue(Scope.JOB, row.id, epoch=row.takes, ttl=_LIFETIME),
        assistant=spec,
        text=text,
        providers=await access_of(db, vault, row.organization_id, providers_of(spec)),
    )
