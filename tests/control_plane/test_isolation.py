"""No organization sees, changes or guesses what belongs to another: every operation is asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from litestar import Litestar

from control_plane.app import Resources, create_public_app
from control_plane.first_start import RECEPTIONIST
from tests import factories

pytestmark = [pytest.mark.db, pytest.mark.engines]

NUMBER, OURS = "+12025550123", "+12025550177"
SECRET_NAME = "belongs-to-a"
OPEN = ("/health", "/schema", "/livekit", "/widget")
# What an id in a path names, and what A must make first so that there is one.
MAKERS: dict[str, tuple[str, dict[str, Any]]] = {
    "assistant_id": ("/assistant", {"name": SECRET_NAME, "prompt": "Hi.", "is_default": True}),
    "trunk_id": (
        "/trunk",
        {
            "direction": "outbound",
            "name": SECRET_NAME,
            "address": "192.0.2.1",
            "numbers": [OURS],
            "is_default": True,
        },
    ),
    "number_id": ("/number", {"phone_number": "+12025550178"}),
    "call_id": (
        "/call",
        {"phone_number": NUMBER, "from_phone_number": OURS, "metadata": {"x": SECRET_NAME}},
    ),
    "session_id": ("/session", {"metadata": {"x": SECRET_NAME}}),
    "key_id": ("/keys", {"name": SECRET_NAME}),
    "webhook_id": ("/webhook", {"url": f"https://example.com/{SECRET_NAME}"}),
    "campaign_id": ("/campaign", {"name": SECRET_NAME}),
    "public_key_id": (
        "/public-keys",
        {"name": SECRET_NAME, "allowed_origins": [f"https://{SECRET_NAME}.example"]},
    ),
    "preset_id": ("/preset", {"kind": "prompt", "name": SECRET_NAME, "prompt": "Hi."}),
}
LISTED = "+12025550179"
LEDGERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/do-not-call", {"phone_number": LISTED, "reason": SECRET_NAME}),
    ("/consent", {"phone_number": LISTED, "basis": SECRET_NAME}),
)
WITHOUT_AN_OWNER = {"name"}
"""Path parameters that name no row: the provider, which each organization has for itself."""


def find_id(value: Any) -> str | None:
    """Return the id in an answer that made something."""
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            return str(value["id"])
        for inner in value.values():
            found = find_id(inner)
            if found is not None:
                return found
    if isinstance(value, list) and value:
        return find_id(value[0])
    return None


def operations(app: Litestar) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (method, path, path parameters) of every operation that needs a key."""
    for path, item in (app.openapi_schema.paths or {}).items():
        if path.startswith(OPEN):
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            operation = getattr(item, method)
            if operation is not None:
                names = [p.name for p in operation.parameters or [] if p.param_in == "path"]
                yield method, path, names


@contextlib.asynccontextmanager
async def organization(
    operator: httpx.AsyncClient, app: Litestar, name: str
) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """Yield the id of a new organization, made as every one is, and a client with its key."""
    made = await operator.post("/organizations", json={"name": name})
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['key']['key']}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api", headers=headers
    ) as client:
        yield made.json()["organization"]["id"], client


@pytest.mark.parametrize("stranger", ["another organization", "the operator"])
async def test_a_stranger_finds_nothing(
    api: httpx.AsyncClient, resources: Resources, stranger: str
) -> None:
    app = create_public_app(resources)
    is_operator = stranger == "the operator"
    async with organization(api, app, "a") as (a, mine), organization(api, app, "b") as (_, b):
        ids = {**await _make_everything(mine, app), "organization_id": a}
        asked = 0
        # Lists first: later the stranger's own audit log tells the ids that it tried.
        for method, path, names in sorted(operations(app), key=lambda each: len(each[2])):
            owned = [name for name in names if name not in WITHOUT_AN_OWNER]
            if is_operator and path.startswith("/organizations"):
                continue  # its own business
            if not owned and method != "get":
                continue  # it makes something of the stranger's own
            url = path
            for name in names:
                url = url.replace(f"{{{name}}}", ids.get(name, "openai"))
            body = {} if method != "get" else None
            answer = await (api if is_operator else b).request(method, url, json=body)
            asked += 1
            assert SECRET_NAME not in answer.text, f"{method} {url}"
            assert is_operator or RECEPTIONIST.name not in answer.text, f"{method} {url}"
            assert not any(key in answer.text for key in _ids_told(ids, url)), f"{method} {url}"
            if path.startswith("/organizations"):
                assert answer.status_code == 403, f"{method} {url}: {answer.text}"
            elif owned:
                assert answer.status_code in (404, 400, 422), f"{method} {url}: {answer.text}"
        assert asked > 40
        for name, (path, _body) in MAKERS.items():
            listed = (await mine.get(path)).text
            assert ids[name] in listed, f"{path}: something was harmed"
        for path, _body in LEDGERS:
            assert SECRET_NAME in (await mine.get(path)).text
        assert (await mine.get("/organization")).json()["suspended_at"] is None


async def test_every_id_in_a_path_is_tried(api: httpx.AsyncClient, resources: Resources) -> None:
    app = create_public_app(resources)
    async with organization(api, app, "a") as (a, mine):
        ids = {**await _make_everything(mine, app), "organization_id": a}
    named = {name for _method, _path, names in operations(app) for name in names}
    assert named - WITHOUT_AN_OWNER <= set(ids)


async def _make_everything(api: httpx.AsyncClient, app: Litestar) -> dict[str, str]:
    """Return an id of A's for each path parameter."""
    paths = set(app.openapi_schema.paths or {})
    ids: dict[str, str] = {}
    for name, (path, body) in MAKERS.items():
        if path not in paths:
            continue
        if name == "campaign_id":
            body = {**body, "assistant_id": ids["assistant_id"]}
        if name == "public_key_id":
            body = {**body, "assistant_ids": [ids["assistant_id"]]}
        answer = await api.post(path, json=body)
        assert answer.status_code < 300, answer.text
        found = find_id(answer.json())
        assert found is not None, answer.text
        ids[name] = found
    for path, body in LEDGERS:
        assert (await api.post(path, json=body)).status_code < 300
    ids["entry"] = LISTED
    test = await api.post(f"/assistant/{ids['assistant_id']}/test")
    ids["test_id"] = test.json()["test"]["id"]
    # Attempts and deliveries are made by the scheduler; a stranger may know the id of none.
    call = (await api.get(f"/call/{ids['call_id']}")).json()["call"]
    ids |= {"recording_id": call["id"], "attempt_id": call["id"], "delivery_id": call["id"]}
    return ids


def _ids_told(ids: dict[str, str], url: str) -> list[str]:
    """Return A's ids that the stranger did not send itself."""
    return [value for value in ids.values() if value not in url]


@pytest.mark.parametrize("scope", ["calls", "admin"])
async def test_a_key_does_what_its_scope_allows(
    api: httpx.AsyncClient, resources: Resources, scope: str
) -> None:
    made = (await api.post("/keys", json={"name": "k", "scopes": [scope]})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    calls = await api.get("/call", headers=headers)
    trunks = await api.get("/trunk", headers=headers)
    assert (calls.status_code, trunks.status_code) == (
        (200, 403) if scope == "calls" else (403, 200)
    )


async def test_a_key_is_stored_hashed_and_shown_once(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = (await api.post("/keys", json={"name": "k"})).json()
    listed = (await api.get("/keys")).json()["keys"]
    [again] = [key for key in listed if key["id"] == made["id"]]
    assert again["key"] is None
    assert made["key"].startswith(made["prefix"])
    secret = made["key"].removeprefix(made["prefix"])
    async with resources.database.engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM api_key")).all()
    assert secret not in str(rows)


async def test_a_rotated_key_works_until_its_grace_is_over(api: httpx.AsyncClient) -> None:
    old = (await api.post("/keys", json={"name": "k", "requests_per_minute": 500})).json()
    new = (await api.post(f"/keys/{old['id']}/rotate", json={"grace_secs": 3600})).json()
    assert (new["name"], new["requests_per_minute"]) == ("k", 500)
    for key in (old, new):
        answer = await api.get("/call", headers={"Authorization": f"Bearer {key['key']}"})
        assert answer.status_code == 200
    again = await api.post(f"/keys/{old['id']}/rotate", json={})
    assert again.status_code == 409
    await api.delete(f"/keys/{old['id']}")
    answer = await api.get("/call", headers={"Authorization": f"Bearer {old['key']}"})
    assert answer.status_code == 401
    last = (await api.post(f"/keys/{new['id']}/rotate", json={"grace_secs": 0})).json()
    answer = await api.get("/call", headers={"Authorization": f"Bearer {new['key']}"})
    assert answer.status_code == 401
    answer = await api.get("/call", headers={"Authorization": f"Bearer {last['key']}"})
    assert answer.status_code == 200


async def test_a_key_asks_no_more_often_than_it_may(api: httpx.AsyncClient) -> None:
    made = (await api.post("/keys", json={"name": "k", "requests_per_minute": 5})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    answers = [await api.get("/call", headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert answers[-1].json()["code"] == "too_many_requests"
    changed = await api.patch(f"/keys/{made['id']}", json={"requests_per_minute": None})
    assert changed.json()["requests_per_minute"] is None
    assert (await api.get("/call", headers=headers)).status_code == 200


async def test_who_guesses_keys_is_slowed_down(api: httpx.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer ok_0000000000_guess"}
    statuses = [(await api.get("/call", headers=wrong)).status_code for _ in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    assert (await api.get("/call")).status_code == 200  # a right key is not held back


async def test_changes_are_in_the_audit_log(api: httpx.AsyncClient) -> None:
    await api.post("/assistant", json={"name": "A", "prompt": "Hi."})
    await api.post("/trunk", json={"direction": "outbound", "name": "nothing else"})
    await api.get("/assistant")
    await api.post("/call", json={"phone_number": NUMBER})
    entries = (await api.get("/audit")).json()["entries"]
    told = [(e["operation"], e["method"], e["path"], e["status"]) for e in entries]
    assert told == [
        ("createTrunk", "POST", "/trunk", 422),
        ("createAssistant", "POST", "/assistant", 201),
    ]
    keys = (await api.get("/keys")).json()["keys"]
    assert entries[0]["key_id"] == keys[0]["id"]
    page = (await api.get("/audit", params={"limit": 1})).json()
    rest = (await api.get("/audit", params={"cursor": page["next_cursor"]})).json()
    assert [e["id"] for e in page["entries"] + rest["entries"]] == [e["id"] for e in entries]


async def test_the_last_use_of_a_key_is_noted(api: httpx.AsyncClient) -> None:
    before = factories.ago(seconds=5)
    [key] = (await api.get("/keys")).json()["keys"]
    assert datetime.fromisoformat(key["last_used_at"]) > before
