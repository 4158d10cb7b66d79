"""Voices: listed by the providers' own endpoints, previewed as a job."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from control_plane.app import Resources
from control_plane.db.models.job import JobRow
from control_plane.domain.errors import Conflict
from control_plane.domain.job import NO_WORKER
from control_plane.domain.providers import Provider
from control_plane.settings import ApiSettings, Settings, StorageSettings
from control_plane.voices.catalogue import voices_of
from process.addresses import Allowed, HttpSettings
from process.worker_key import worker_key
from sip.settings import LiveKitSettings
from tests.providers.servers import KEY, ProviderServers, serving

pytestmark = pytest.mark.db

Suspend = Callable[[], Awaitable[str]]
OURS = {"Authorization": f"Bearer {worker_key('s' * 32)}"}


@pytest.fixture
async def servers() -> AsyncIterator[ProviderServers]:
    async with serving(tone=True) as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of a first start that may reach this machine."""
    return Settings(
        storage=StorageSettings(data=str(tmp_path / "data"), database_url=database_url),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
        outbound=HttpSettings("127.0.0.0/8"),
    )


async def know(api: httpx.AsyncClient, servers: ProviderServers, *names: str) -> None:
    urls = {"cartesia": servers.cartesia_url, "elevenlabs": servers.elevenlabs_url}
    for name in names:
        body = {"api_key": KEY, "api_url": urls[name]}
        assert (await api.put(f"/provider/{name}", json=body)).status_code == 200


async def listed(api: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"/voices{query}")
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    voices: list[dict[str, Any]] = answer.json()["voices"]
    return voices


async def refused(api: httpx.AsyncClient, query: str) -> str:
    answer = await api.get(f"/voices{query}")
    assert (answer.status_code, answer.json()["field"]) == (409, "provider"), answer.text
    assert KEY not in answer.text
    return str(answer.json()["detail"])


async def test_voices_are_those_of_the_providers_that_have_a_key(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    assert [each["provider"] for each in await listed(api)] == ["offline"]
    await know(api, servers, "cartesia", "elevenlabs")
    voices = await listed(api)
    assert {each["provider"] for each in voices} == {"offline", "cartesia", "elevenlabs"}
    cartesia = await listed(api, "?provider=cartesia")
    assert {each["name"] for each in cartesia} == {"Katie", "Jameson"}
    assert cartesia[0]["id"] == "f786b574-daa5-4673-aa0c-cbe3e8534c02"
    assert all(each["name"] and each["id"] for each in await listed(api, "?provider=elevenlabs"))


async def test_a_language_leaves_out_the_others(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    await know(api, servers, "cartesia")
    assert len(await listed(api, "?provider=cartesia&language=en-GB")) == 2
    assert await listed(api, "?provider=cartesia&language=de") == []


async def test_a_missing_and_a_refused_key_name_the_command(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    unknown = await api.get("/voices?provider=nobody")
    assert unknown.status_code == 422
    assert "cartesia, elevenlabs, offline" in unknown.json()["detail"]
    told = await refused(api, "?provider=elevenlabs")
    assert told == "no key for elevenlabs: run `offhook provider set elevenlabs`"
    await know(api, servers, "cartesia", "elevenlabs")
    servers.controls.refuse_keys(KEY)
    for name in ("cartesia", "elevenlabs"):
        assert f"401: the key was refused; set it with `offhook provider set {name}`" in (
            await refused(api, f"?provider={name}")
        )


async def test_a_provider_that_is_not_there(api: httpx.AsyncClient) -> None:
    await api.put("/provider/cartesia", json={"api_key": KEY, "api_url": "ws://127.0.0.1:9"})
    assert "cartesia was not reached: the connection failed" in await refused(api, "")


@pytest.mark.parametrize("provider", [Provider.CARTESIA, Provider.ELEVENLABS])
async def test_a_private_address_is_not_asked(servers: ProviderServers, provider: Provider) -> None:
    access = servers.access()[provider]
    with pytest.raises(Conflict, match=r"OFFHOOK_ALLOW_PRIVATE=127\.0\.0\.1"):
        await voices_of(provider, access, Allowed())
    assert servers.journal.entries() == []


async def work(internal: httpx.AsyncClient, **report: Any) -> dict[str, Any]:
    """Do one job as the worker would; returns it."""
    taken = await internal.post("/internal/jobs/take?worker=w&wait=4", headers=OURS)
    job: dict[str, Any] = taken.json()["job"]
    answer = await internal.post(
        f"/internal/jobs/{job['id']}/report?worker=w",
        headers={"Authorization": f"Bearer {job['token']}"},
        json={"results": [], "done": True, **report},
    )
    assert answer.status_code == 204, answer.text
    return job


async def test_a_preview_is_spoken_by_the_worker_and_not_kept(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    servers: ProviderServers,
    resources: Resources,
) -> None:
    await know(api, servers, "cartesia")
    await internal.post("/internal/jobs/take?worker=w", headers=OURS)  # a sign of life
    sound = base64.b64encode(b"RIFF").decode()
    working = asyncio.create_task(work(internal, sound=sound))
    voice = {"provider": "cartesia", "id": "v", "speed": 1.2}
    answer = await api.post("/voices/preview", json={"text": "Hello.", "voice": voice})
    job = await working
    assert (answer.status_code, answer.content) == (200, b"RIFF")
    assert answer.headers["content-type"] == "audio/wav"
    assert (job["kind"], job["text"]) == ("voice_preview", "Hello.")
    assert job["assistant"]["voice"]["speed"] == 1.2
    assert job["providers"]["cartesia"]["api_key"] == KEY
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(JobRow)) == 0


async def test_a_preview_that_fails_says_why(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, servers: ProviderServers
) -> None:
    body = {"text": "Hello.", "voice": {"provider": "cartesia", "id": "v"}}
    keyless = await api.post("/voices/preview", json=body)
    assert "`offhook provider set cartesia`" in keyless.json()["detail"]
    await know(api, servers, "cartesia")
    nobody = await api.post("/voices/preview", json=body)
    assert (nobody.status_code, nobody.json()["detail"]) == (409, NO_WORKER)
    await internal.post("/internal/jobs/take?worker=w", headers=OURS)
    bad = {"part": "voice", "provider": "cartesia", "ok": False, "took_ms": 1, "error": "said no"}
    working = asyncio.create_task(work(internal, results=[bad]))
    answer = await api.post("/voices/preview", json=body)
    await working
    assert (answer.status_code, answer.json()["detail"]) == (409, "cartesia said no")
    german = await api.post("/voices/preview", json={"text": "Hallo.", "language": "de-DE"})
    assert german.json()["detail"] == "the embedded voice speaks English only: name a voice"


async def test_a_suspended_organization_asks_no_provider_for_voices(
    api: httpx.AsyncClient, servers: ProviderServers, suspend: Suspend
) -> None:
    await know(api, servers, "cartesia")
    remedy = await suspend()
    sentence = {"text": "Hello."}
    voice = {"provider": "cartesia", "id": "v"}
    for answer in (
        await api.get("/voices"),
        await api.get("/voices?provider=cartesia"),
        await api.post("/voices/preview", json={**sentence, "voice": voice}),
        await api.post("/voices/preview", json=sentence),
    ):
        assert (answer.status_code, remedy in answer.json()["detail"]) == (409, True), answer.text
    assert servers.journal.entries() == []
    assert [each["provider"] for each in await listed(api, "?provider=offline")] == ["offline"]
