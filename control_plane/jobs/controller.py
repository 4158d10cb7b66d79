"""Tests of assistants: asked of the after-call worker, told once it has done them."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from control_plane.assistants import repository as assistants
from control_plane.compliance.suspended import check_may_spend
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import parse_id
from control_plane.domain.job import JobStatus
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal
from control_plane.jobs import repository
from control_plane.jobs.schemas import AssistantTestEnvelope, test_view
from control_plane.jobs.waiting import wait_for

LONGEST_WAIT_S = 30


class AssistantTestController(Controller):
    """Tests of an assistant's providers."""

    path = "/assistant/{assistant_id:str}/test"
    tags = ("assistants",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @post(
        operation_id="testAssistant",
        summary="Test an assistant's providers",
        status_code=202,
        responses={200: ResponseSpec(AssistantTestEnvelope, description="The test is done")},
    )
    async def test(
        self,
        assistant_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
        wait: Annotated[
            int,
            QueryParameter(
                ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the test to be done"
            ),
        ] = 0,
    ) -> Response[AssistantTestEnvelope]:
        """Have each model answer, each voice speak and each recogniser hear one sentence.

        One that is not done yet is joined. 200 when it was done within `wait`, else 202. A conflict
        while the organization is suspended.
        """
        key = parse_id(assistant_id, what="assistant")
        async with database.transaction() as db:
            await check_may_spend(db, principal.organization_id)
            row = await assistants.get_assistant(db, principal.organization_id, key)
            made = await repository.test_of(db, row)
        seen = await wait_for(database, principal.organization_id, made.id, limit_s=wait)
        shown = test_view(seen.row, seen.now, worker_is_there=seen.worker_is_there)
        done = shown.test.status is JobStatus.DONE
        return Response(
            shown,
            status_code=200 if done else 202,
            headers={"Location": f"/assistant/{key}/test/{made.id}"},
        )

    @get(
        "/{test_id:str}",
        operation_id="getAssistantTest",
        summary="Get a test of an assistant",
    )
    async def get_one(
        self,
        assistant_id: FromPath[str],
        test_id: FromPath[str],
        principal: GivenPrincipal,
        database: GivenDatabase,
    ) -> AssistantTestEnvelope:
        """Return the test as it stands; tests are kept for a week."""
        key = parse_id(assistant_id, what="assistant")
        test = parse_id(test_id, what="test")
        seen = await wait_for(database, principal.organization_id, test, limit_s=0)
        if seen.row.assistant_id != key:
            raise NotFound(f"this assistant has no test with the id {test}")
        return test_view(seen.row, seen.now, worker_is_there=seen.worker_is_there)
