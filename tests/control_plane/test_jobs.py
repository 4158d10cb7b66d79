"""Tests of assistants as jobs: asked for, taken once, fenced, and never left open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from control_plane.app import Resources
from control_plane.db.base import read_clock
from control_plane.db.heartbeats import beat
from control_plane.db.models.job import JobRow
from control_plane.domain.job import LEASE, LOST, NO_WORKER, WAITS, JobKind
from control_plane.jobs import repository
from process.worker_key import worker_key

pytestmark = [pytest.mark.db, pytest.mark.engines]

KEY = "sk-0123456789abcdef"
MODEL = {"type": "custom", "api_url": "https://x.test/v1", "model_name": "m", "api_key": "of-it"}
FINE = {"part": "model", "provider": "custom", "ok": True, "took_ms": 12, "said": "Hello."}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


OURS = bearer(worker_key("s" * 32))


@pytest.fixture
async def assistant(api: httpx.AsyncClient) -> str:
    await api.put("/provider/cartesia", json={"api_key": KEY})
    await api.put("/provider/mistral", json={"api_key": "not for this assistant"})
    voice = {"provider": "cartesia", "id": "v"}
    body = {"name": "A", "prompt": "Be kind.", "llm_model": MODEL, "voice": voice}
    made: str = (await api.post("/assistant", json=body)).json()["assistant"]["id"]
    return made


async def ask(api: httpx.AsyncClient, assistant: str, *, status: int = 202) -> dict[str, Any]:
    answer = await api.post(f"/assistant/{assistant}/test")
    assert answer.status_code == status, answer.text
    made: dict[str, Any] = answer.json()["test"]
    assert answer.headers["Location"] == f"/assistant/{assistant}/test/{made['id']}"
    return made


async def look(api: httpx.AsyncClient, test: dict[str, Any]) -> dict[str, Any]:
    answer = await api.get(f"/assistant/{test['assistant_id']}/test/{test['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["test"]
    return found


async def take(internal: httpx.AsyncClient, *, wait: float = 0) -> Any:
    answer = await internal.post(f"/internal/jobs/take?worker=w&wait={wait}", headers=OURS)
    assert answer.status_code == 200, answer.text
    return answer.json()["job"]


async def report(
    internal: httpx.AsyncClient, job: dict[str, Any], *results: Any, done: bool = True
) -> int:
    answer = await internal.post(
        f"/internal/jobs/{job['id']}/report?worker=w",
        headers=bearer(job["token"]),
        json={"results": results, "done": done},
    )
    return answer.status_code


async def age(resources: Resources, by: timedelta) -> None:
    """Let this much time pass for every job."""
    async with resources.database.transaction() as session:
        for row in await session.scalars(select(JobRow)):
            row.created_at -= by
            if row.lease_until is not None:
                row.lease_until -= by


async def test_a_test_is_taken_reported_on_and_told(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str
) -> None:
    asked = await ask(api, assistant)
    assert (asked["status"], asked["results"], asked["ok"]) == ("queued", [], False)
    job = await take(internal)
    assert (job["id"], job["kind"]) == (asked["id"], "assistant_test")
    assert job["assistant"]["llm_model"]["api_key"] == "of-it"
    assert job["providers"] == {"cartesia": {"api_key": KEY, "api_url": None}}
    assert await take(internal) is None, "it has a worker already"
    assert await report(internal, job, FINE, done=False) == 204
    told = await look(api, asked)
    assert (told["status"], len(told["results"])) == ("running", 1)
    bad = {"part": "voice", "provider": "cartesia", "ok": False, "took_ms": 3, "error": "no"}
    assert await report(internal, job, FINE, bad) == 204
    told = await look(api, asked)
    assert (told["status"], told["ok"], told["error"]) == ("done", False, None)
    assert [each["provider"] for each in told["results"]] == ["custom", "cartesia"]
    assert told["results"][0]["said"] == "Hello."
    assert await report(internal, job, FINE) == 409, "what is done stays as it is"
    for secret in (KEY, "of-it"):
        assert secret not in str(told)


async def test_a_test_that_runs_is_joined_and_a_changed_assistant_is_tested_anew(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str
) -> None:
    first = await ask(api, assistant)
    assert (await ask(api, assistant))["id"] == first["id"]
    await api.patch(f"/assistant/{assistant}", json={"prompt": "Be quick."})
    second = await ask(api, assistant)
    assert second["id"] != first["id"]
    prompts = [(await take(internal))["assistant"]["prompt"] for _ in range(2)]
    assert prompts == ["Be kind.", "Be quick."], "each with the assistant as it was"


async def test_who_waits_is_answered_once_it_is_done(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str
) -> None:
    async def work() -> None:
        job = await take(internal, wait=4)
        assert await report(internal, job, FINE) == 204

    await take(internal)  # a sign of life
    working = asyncio.create_task(work())
    answer = await api.post(f"/assistant/{assistant}/test?wait=10")
    await working
    assert answer.status_code == 200, answer.text
    assert answer.json()["test"]["ok"] is True


async def test_a_test_waits_for_a_worker_that_is_not_there_yet(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str, resources: Resources
) -> None:
    answer = await api.post(f"/assistant/{assistant}/test?wait=30")  # in vain, so at once
    assert answer.status_code == 202, answer.text
    asked = answer.json()["test"]
    await age(resources, timedelta(hours=23))
    told = await look(api, asked)
    assert (told["status"], told["ok"], told["error"]) == ("queued", False, NO_WORKER)
    assert "python -m agent.aftercall" in NO_WORKER
    assert (await ask(api, assistant))["id"] == asked["id"]
    job = await take(internal)
    assert (await look(api, asked))["status"] == "running"
    assert await report(internal, job, FINE) == 204
    told = await look(api, asked)
    assert (told["status"], told["ok"], told["error"]) == ("done", True, None)


async def test_a_test_that_no_worker_took_for_a_day_is_given_up(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str, resources: Resources
) -> None:
    asked = await ask(api, assistant)
    await age(resources, WAITS[JobKind.TEST])
    assert await take(internal) is None
    told = await look(api, asked)
    assert (told["status"], told["ok"], told["error"]) == ("done", False, NO_WORKER)
    assert (await ask(api, assistant))["id"] != asked["id"]


async def test_nobody_speaks_for_who_has_left(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    """A preview that the API did not live to delete."""
    owner = (await api.get("/organization")).json()["id"]
    async with resources.database.transaction() as session:
        await repository.preview_of(session, owner, {"text": "Hello."})
    await age(resources, WAITS[JobKind.PREVIEW])
    assert await take(internal) is None


async def test_a_worker_that_stopped_is_followed_by_one_other(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str, resources: Resources
) -> None:
    asked = await ask(api, assistant)
    first = await take(internal)
    await age(resources, LEASE + timedelta(hours=1))
    assert (await look(api, asked))["status"] == "queued"
    second = await take(internal)
    assert second["id"] == first["id"]
    assert await report(internal, first, FINE) == 409, "the job is another's now"
    assert (await look(api, asked))["status"] == "running"
    await age(resources, LEASE)
    assert await take(internal) is None
    told = await look(api, asked)
    assert (told["status"], told["error"]) == ("done", LOST)


async def test_a_report_keeps_the_job(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str, resources: Resources
) -> None:
    await ask(api, assistant)
    job = await take(internal)
    await age(resources, LEASE - timedelta(seconds=1))
    assert await report(internal, job, done=False) == 204
    await age(resources, LEASE - timedelta(seconds=1))
    assert await take(internal) is None


async def test_only_ours_take_jobs_and_each_reports_on_its_own(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, assistant: str, credentials: dict[str, str]
) -> None:
    await ask(api, assistant)
    for token in ("wrong", worker_key("another secret"), credentials["api_key"], "s" * 32):
        answer = await internal.post("/internal/jobs/take?worker=w", headers=bearer(token))
        assert answer.status_code == 401, token
    job = await take(internal)
    await api.patch(f"/assistant/{assistant}", json={"prompt": "Another."})
    await ask(api, assistant)
    other = await take(internal)
    assert await report(internal, {**other, "token": job["token"]}, FINE) == 403
    assert await report(internal, {**job, "token": OURS["Authorization"][7:]}, FINE) == 401


async def test_old_tests_are_forgotten_and_ids_lead_nowhere_else(
    api: httpx.AsyncClient, assistant: str, resources: Resources
) -> None:
    old = await ask(api, assistant)
    other = (await api.post("/assistant", json={"name": "B", "prompt": "p"})).json()["assistant"]
    assert (await api.get(f"/assistant/{other['id']}/test/{old['id']}")).status_code == 404
    await age(resources, timedelta(days=8))
    await ask(api, assistant)
    assert (await api.get(f"/assistant/{assistant}/test/{old['id']}")).status_code == 404


async def test_signs_of_life_come_from_taking(
    internal: httpx.AsyncClient, resources: Resources
) -> None:
    database = resources.database

    async def there() -> bool:
        async with database.reading() as session:
            return await repository.worker_is_there(session)

    assert not await there()
    await take(internal)
    assert await there()
    async with database.transaction() as session:
        now = await read_clock(session)
        await beat(session, repository.WORKER, "w", now=now - timedelta(seconds=30))
    assert not await there()


async def test_a_suspended_organization_is_not_tested(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    assistant: str,
    suspend: Callable[[], Awaitable[str]],
) -> None:
    asked = await ask(api, assistant)
    remedy = await suspend()
    assert await take(internal) is None  # asked for before, and its keys are not handed out
    refused = await api.post(f"/assistant/{assistant}/test")
    assert (refused.status_code, remedy in refused.json()["detail"]) == (409, True)
    assert (await look(api, asked))["status"] == "queued"
    owner = remedy.rstrip("`").split()[-1]
    assert (await api.post(f"/organizations/{owner}/resume")).status_code == 200
    assert (await take(internal))["id"] == asked["id"]
