"""Keys of providers: asked about at the provider, and stored only if it takes them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.domain.errors import BadInput
from control_plane.domain.providers import SERVICES, Provider
from control_plane.providers.address import check_address
from control_plane.providers.asking import Verdict, judge
from control_plane.settings import ApiSettings, Settings, StorageSettings
from process.addresses import Allowed, HttpSettings
from sip.settings import LiveKitSettings
from tests.providers.servers import ProviderServers, serving

pytestmark = pytest.mark.db

GOOD, BAD = "sk-good-0123456789abcdef", "sk-bad-0123456789abcdef"


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProviderServers]:
    async with serving(tone=True) as started:
        monkeypatch.setenv("SSL_CERT_FILE", str(started.ca_file))  # Google is reached by TLS
        started.controls.refuse_keys(BAD)
        yield started


@pytest.fixture
def private() -> str:
    return "127.0.0.0/8"


@pytest.fixture
def settings(tmp_path: Path, database_url: str, private: str) -> Settings:
    """Settings of a first start that may reach what `private` names."""
    return Settings(
        storage=StorageSettings(data=str(tmp_path / "data"), database_url=database_url),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
        outbound=HttpSettings(private),
    )


async def put(
    api: httpx.AsyncClient, name: str, key: str, url: str | None, *, check: bool = True
) -> httpx.Response:
    path = f"/provider/{name}" + ("?check=true" if check else "")
    answer = await api.put(path, json={"api_key": key, "api_url": url})
    assert key not in answer.text
    return answer


async def refused(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["field"]) == (409, "api_key"), answer.text
    return str(answer.json()["detail"])


async def names(api: httpx.AsyncClient) -> list[str]:
    return [each["name"] for each in (await api.get("/provider")).json()["providers"]]


@pytest.mark.parametrize("provider", list(Provider))
async def test_each_provider_is_asked_and_only_a_key_it_takes_is_stored(
    api: httpx.AsyncClient, servers: ProviderServers, provider: Provider
) -> None:
    url, name = servers.access()[provider].api_url, provider.value
    detail = await refused(await put(api, name, BAD, url))
    assert detail.startswith(f"{name} refused the key (40")
    assert detail.endswith("; nothing was stored")
    assert await names(api) == []
    stored = await put(api, name, GOOD, url)
    assert stored.status_code == 200, stored.text
    assert stored.json()["check"]["verdict"] == "accepted"
    assert (await names(api)) == [name]
    # A bad key does not take a good one's place.
    await refused(await put(api, name, BAD, url))
    assert (await api.post(f"/provider/{name}/check")).json()["check"]["verdict"] == "accepted"
    servers.controls.refuse_keys(GOOD)
    again = await api.post(f"/provider/{name}/check")
    assert again.status_code == 200
    assert again.json()["check"]["verdict"] == "refused"
    assert GOOD not in again.text


async def test_who_does_not_want_a_check_stores_any_key_and_is_told_nothing(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    stored = await put(api, "openai", BAD, servers.openai_url, check=False)
    assert stored.status_code == 200
    assert "check" not in stored.json()
    checked = (await api.post("/provider/openai/check")).json()["check"]
    assert checked["verdict"] == "refused"
    assert (await api.post("/provider/mistral/check")).status_code == 404


async def test_a_masked_key_sent_back_is_asked_about_as_the_one_it_stands_for(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    masked = (await put(api, "openai", GOOD, servers.openai_url)).json()["api_key"]
    body = {"api_key": masked, "api_url": servers.openai_url}
    assert (await api.put("/provider/openai?check=true", json=body)).status_code == 200
    servers.controls.refuse_keys(GOOD)
    assert "refused the key" in await refused(await api.put("/provider/openai?check=1", json=body))


async def test_an_answer_that_says_nothing_of_the_key_stores_nothing(
    api: httpx.AsyncClient, servers: ProviderServers
) -> None:
    gone = await refused(await put(api, "cartesia", GOOD, "http://127.0.0.1:9"))
    assert gone.startswith("cartesia could not be reached: the connection failed")
    wrong = await refused(await put(api, "openai", GOOD, f"{servers.openai_url}/wrong"))
    assert wrong.startswith("openai answered 404, which says nothing about the key")
    for detail, name in ((gone, "cartesia"), (wrong, "openai")):
        assert f"`offhook provider set {name} --no-check`" in detail
    blank = await refused(await put(api, "openai", "two words", servers.openai_url))
    assert "the key holds a blank" in blank
    assert await names(api) == []
    kept = await put(api, "cartesia", GOOD, "http://127.0.0.1:9", check=False)
    assert kept.status_code == 200
    assert (await api.post("/provider/cartesia/check")).json()["check"]["verdict"] == "unknown"


@pytest.mark.parametrize("private", [""])
@pytest.mark.parametrize("check", [True, False])
async def test_no_key_is_stored_for_a_private_address(
    api: httpx.AsyncClient, servers: ProviderServers, check: bool
) -> None:
    for url in (servers.openai_url, "wss://[::ffff:127.0.0.1]/v1", "https://localhost/v1"):
        answer = await put(api, "openai", GOOD, url, check=check)
        assert (answer.status_code, answer.json()["field"]) == (422, "api_url")
        assert "OFFHOOK_ALLOW_PRIVATE=" in answer.json()["detail"]
    login = await put(api, "openai", GOOD, "https://me:secret@example.com/v1", check=check)
    assert (login.status_code, login.json()["field"]) == (422, "api_url")
    assert "secret" not in login.text
    assert servers.journal.entries() == []
    assert await names(api) == []


async def test_a_name_is_refused_by_what_it_stands_for_now() -> None:
    async def resolve(host: str, port: int) -> list[Any]:
        if host == "unknown.example":
            raise OSError("no such name")
        address = "10.0.0.7" if host == "inside.example" else "8.8.8.8"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with pytest.raises(BadInput, match=r"inside\.example \(10\.0\.0\.7\)") as refusal:
        await check_address("https://inside.example/v1", Allowed(), resolve=resolve)
    assert refusal.value.field == "api_url"
    for url in ("https://unknown.example", "wss://public.example:8443/v1", None):
        await check_address(url, Allowed(), resolve=resolve)
    await check_address("https://inside.example", Allowed.parse("10.0.0.0/8"), resolve=resolve)


@pytest.mark.parametrize("check", ["true", "false"])
async def test_a_stored_key_is_not_sent_to_another_address(
    api: httpx.AsyncClient, servers: ProviderServers, check: str
) -> None:
    masked = (await put(api, "openai", GOOD, servers.openai_url)).json()["api_key"]
    asked = len(servers.journal.entries())
    for url in (servers.custom_url, None):
        body = {"api_key": masked, "api_url": url}
        answer = await api.put(f"/provider/openai?check={check}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "api_key")
        assert "give api_key itself again" in answer.json()["detail"]
    assert len(servers.journal.entries()) == asked
    assert (await api.get("/provider/openai")).json()["api_url"] == servers.openai_url
    slash = {"api_key": masked, "api_url": f"{servers.openai_url}/"}
    assert (await api.put(f"/provider/openai?check={check}", json=slash)).status_code == 200


async def test_a_mask_that_stands_for_no_key_is_not_stored(api: httpx.AsyncClient) -> None:
    answer = await api.put("/provider/openai", json={"api_key": "****cdef"})
    assert (answer.status_code, answer.json()["field"]) == (422, "api_key")
    assert await names(api) == []


def test_every_provider_has_a_row() -> None:
    assert set(SERVICES) == set(Provider)


@pytest.mark.parametrize(
    ("status", "body", "verdict", "said"),
    [
        (
            401,
            {"error": {"message": "Incorrect API key provided: sk-good-*********cdef. See u."}},
            Verdict.REFUSED,
            "refused the key (401): Incorrect API key provided: **** See u.",
        ),
        (401, {"error": f"Bad key '{GOOD}'"}, Verdict.REFUSED, "(401): Bad key '****'"),
        (401, {"detail": "Key …89abcdef is off"}, Verdict.REFUSED, "(401): Key **** is off"),
        (403, b"<html>", Verdict.REFUSED, "refused the key (403)"),
        (
            401,
            {"detail": {"status": "missing_permissions", "message": "no voices_read"}},
            Verdict.ACCEPTED,
            "may not do everything: no voices_read",
        ),
        (
            403,
            {"error": {"message": "Missing scopes: api.model.read"}},
            Verdict.ACCEPTED,
            "Missing scopes: api.model.read",
        ),
        (400, {"error": {"message": "API key not valid."}}, Verdict.REFUSED, "API key not valid."),
        (400, {"error": {"message": "no such field"}}, Verdict.UNKNOWN, "answered 400, which"),
        (429, {"error": {"message": "slow down"}}, Verdict.UNKNOWN, "answered 429"),
        (500, b"", Verdict.UNKNOWN, "answered 500"),
        (302, b"", Verdict.UNKNOWN, "answered 302"),
        (200, b"<html>welcome</html>", Verdict.UNKNOWN, "something that is no JSON"),
        (200, {"data": []}, Verdict.ACCEPTED, "accepted the key: it listed its models"),
    ],
)
def test_what_an_answer_says_of_a_key(status: int, body: Any, verdict: Verdict, said: str) -> None:
    raw = body if isinstance(body, bytes) else httpx.Response(200, json=body).content
    told = judge("listed its models", status, raw, GOOD)
    assert told.verdict is verdict
    assert said in told.said
    assert GOOD not in told.said
    assert GOOD[-8:] not in told.said


async def test_the_key_of_a_suspended_organization_is_not_tried(
    api: httpx.AsyncClient, servers: ProviderServers, suspend: Callable[[], Awaitable[str]]
) -> None:
    url = servers.access()[Provider.OPENAI].api_url
    assert (await put(api, "openai", GOOD, url, check=False)).status_code == 200
    remedy = await suspend()
    masked = (await api.get("/provider/openai")).json()["api_key"]
    for answer in (
        await api.post("/provider/openai/check"),
        await api.put("/provider/openai?check=true", json={"api_key": masked, "api_url": url}),
    ):
        assert (answer.status_code, remedy in answer.json()["detail"]) == (409, True), answer.text
    assert servers.journal.entries() == []
