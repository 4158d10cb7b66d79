"""The widget's files and the try-it page as they are served, and to whom."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from control_plane.app import Resources, create_public_app
from control_plane.widget.files import PageFiles
from control_plane.widget.settings import TryAccess
from control_plane.widget.try_page import TryPage
from tests.apps import application

pytestmark = pytest.mark.db

URL = "http://127.0.0.1:7900"
SCRIPT = b"customElements.define('offhook-call', class extends HTMLElement {})"


@contextmanager
def serving(
    resources: Resources, folder: Path, access: TryAccess = TryAccess.LOOPBACK
) -> Iterator[Litestar]:
    """Yield the API with a widget in `folder` and the try-it page for these."""
    changed = msgspec.structs.replace(
        resources,
        page_files=PageFiles(folder),
        try_page=TryPage(access, "https://talk.example.com"),
    )
    with application(create_public_app, changed) as app:
        yield app


@asynccontextmanager
async def browser(
    app: Litestar, url: str = URL, address: str = "127.0.0.1", **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a browser at an address, which asks for `url`."""
    transport = httpx.ASGITransport(app, client=(address, 5_000))
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a built widget."""
    made = tmp_path / "dist"
    made.mkdir()
    for name, content in (("offhook-call.mjs", SCRIPT), ("try.html", b"<!doctype html>")):
        (made / name).write_bytes(content)
        (made / f"{name}.gz").write_bytes(gzip.compress(content))
    return made


@pytest.mark.parametrize("packed", ["gzip", "identity"])
async def test_pages_of_any_origin_load_the_widget(
    resources: Resources, folder: Path, packed: str
) -> None:
    with serving(resources, folder) as app:
        async with browser(app, address="192.0.2.7") as client:
            path = "/widget/offhook-call.mjs"
            answer = await client.get(path, headers={"Accept-Encoding": packed})
            same = {"Accept-Encoding": packed, "If-None-Match": answer.headers["etag"]}
            again = await client.get(path, headers=same)
            other = await client.get("/widget/secret.key")
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers.get("content-encoding", "identity") == packed
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 404


async def test_a_widget_that_is_not_built_is_said_in_words(
    resources: Resources, tmp_path: Path
) -> None:
    with serving(resources, tmp_path) as app:
        async with browser(app) as client:
            for path in ("/widget/offhook-call.js", "/try"):
                answer = await client.get(path)
                assert answer.status_code == 404
                assert "offhook widget build" in answer.json()["detail"]


async def test_whoever_sits_here_talks_with_each_assistant(
    api: httpx.AsyncClient, resources: Resources, folder: Path
) -> None:
    made = await api.post("/assistant", json={"name": "Second", "prompt": "p"})
    second = made.json()["assistant"]["id"]
    lacking = {"name": "Third", "prompt": "p", "voice": {"provider": "cartesia", "id": "v"}}
    third = (await api.post("/assistant", json=lacking)).json()["assistant"]["id"]
    with serving(resources, folder) as app:
        async with browser(app, Origin=URL) as client:
            page = await client.get("/try")
            listed = (await client.get("/try/assistants")).json()["assistants"]
            started = await client.post("/try/session", json={"assistant_id": second})
            refused = await client.post("/try/session", json={"assistant_id": third})
    rules = page.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "connect-src 'self' ws://127.0.0.1:1 http://127.0.0.1:1;" in rules
    assert "unsafe" not in rules
    assert [each["name"] for each in listed][:2] == ["Third", "Second"]
    assert len(listed) == 3
    assert started.status_code == 201, started.text
    assert set(started.json()) == {"session_id", "token", "livekit_url", "recording"}
    found = (await api.get(f"/session/{started.json()['session_id']}")).json()["session"]
    assert found["metadata"] == {"page": "/try"}
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "offhook provider set cartesia" in refused.json()["detail"]


STRANGERS: dict[str, dict[str, Any]] = {
    "another machine": {"address": "192.0.2.7"},
    "a name that leads here": {"url": "http://evil.example:7900"},
    "a proxy that says so": {"X-Forwarded-For": "192.0.2.7"},
    "a page elsewhere": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("path", ["/try", "/try/assistants", "/try/session"])
async def test_nobody_else_may(
    resources: Resources, folder: Path, stranger: str, path: str
) -> None:
    method = "POST" if path == "/try/session" else "GET"
    with serving(resources, folder) as app:
        async with browser(app, **STRANGERS[stranger]) as client:
            answer = await client.request(method, path, json={"assistant_id": "a"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("access", "origin", "status"),
    [
        (TryAccess.OPEN, "https://talk.example.com", 200),
        (TryAccess.OPEN, "https://evil.example", 403),
        (TryAccess.OFF, "https://talk.example.com", 404),
    ],
)
async def test_a_setting_opens_it_and_turns_it_off(
    resources: Resources, folder: Path, access: TryAccess, origin: str, status: int
) -> None:
    with serving(resources, folder, access) as app:
        async with browser(app, "http://talk.example.com", "192.0.2.7", Origin=origin) as client:
            for path in ("/try", "/try/assistants"):
                answer = await client.get(path)
                assert answer.status_code == status, answer.text
