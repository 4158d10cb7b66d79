"""Public keys over the API, and what a page may do with one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from control_plane.app import Resources
from control_plane.db.models.session import Session

pytestmark = [pytest.mark.db, pytest.mark.engines]

ORIGIN = "https://www.example.com"
HIDDEN = "the prompt is nobody's business"


async def assistant(api: httpx.AsyncClient, **fields: Any) -> str:
    """Return the id of a new assistant."""
    answer = await api.post("/assistant", json={"name": "A", "prompt": HIDDEN, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["assistant"]["id"])


async def public_key(api: httpx.AsyncClient, *assistants: str, **fields: Any) -> dict[str, Any]:
    """Return a new public key."""
    body = {"name": "k", "allowed_origins": [ORIGIN], "assistant_ids": list(assistants), **fields}
    answer = await api.post("/public-keys", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def start(
    api: httpx.AsyncClient, key: str, assistant_id: str, origin: str | None = ORIGIN
) -> httpx.Response:
    """Return the answer to a page that asks for a session; it has no API key."""
    headers = {"Origin": origin} if origin is not None else {}
    request = api.build_request(
        "POST", f"/widget/{key}/session", json={"assistant_id": assistant_id}, headers=headers
    )
    del request.headers["Authorization"]
    return await api.send(request)


async def listed(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return all public keys."""
    found: list[dict[str, Any]] = (await api.get("/public-keys")).json()["public_keys"]
    return found


async def test_a_page_starts_a_session_and_learns_nothing_else(api: httpx.AsyncClient) -> None:
    whom = await assistant(api, recording_enabled=True)
    made = await public_key(api, whom)
    answer = await start(api, made["key"], whom)
    assert answer.status_code == 201, answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    told = answer.json()
    assert set(told) == {"session_id", "token", "livekit_url", "recording"}
    assert told["recording"] is True
    assert HIDDEN not in answer.text
    found = (await api.get(f"/session/{told['session_id']}")).json()["session"]
    assert found["assistant"]["id"] == whom
    assert found["metadata"] == {"public_key": made["id"], "origin": ORIGIN}
    [again] = await listed(api)
    assert again == {**made, "sessions_last_hour": 1}


async def test_a_browser_asks_before_it_asks(api: httpx.AsyncClient) -> None:
    made = await public_key(api, await assistant(api))
    path = f"/widget/{made['key']}/session"
    asking = {"Access-Control-Request-Method": "POST", "Origin": ORIGIN}
    answer = await api.options(path, headers=asking)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"
    elsewhere = await api.options(path, headers={**asking, "Origin": "https://evil.example"})
    assert elsewhere.status_code == 403
    assert "access-control-allow-origin" not in elsewhere.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_a_page_of_another_origin_is_refused(
    api: httpx.AsyncClient, origin: str | None
) -> None:
    whom = await assistant(api)
    made = await public_key(api, whom)
    answer = await start(api, made["key"], whom, origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
    assert "allowed_origins" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers
    assert [each["sessions_last_hour"] for each in await listed(api)] == [0]


async def test_an_assistant_that_the_key_is_not_for_is_refused(api: httpx.AsyncClient) -> None:
    mine, other = await assistant(api), await assistant(api)
    made = await public_key(api, mine)
    await api.delete(f"/assistant/{mine}")
    for whom in (other, mine, "no-such-thing"):
        answer = await start(api, made["key"], whom)
        assert (answer.status_code, answer.json()["code"]) == (403, "assistant_not_allowed")
        assert "assistant_ids" in answer.json()["detail"]
        assert answer.headers["access-control-allow-origin"] == ORIGIN, "the page may read why"


async def test_no_more_than_the_limit_in_any_hour(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    whom = await assistant(api)
    made = await public_key(api, whom, sessions_per_hour=3)
    answers = await asyncio.gather(*(start(api, made["key"], whom) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "session_limit_reached"
    assert "sessions_per_hour" in refused.json()["detail"]
    assert 3_590 <= int(refused.headers["retry-after"]) <= 3_600
    assert refused.headers["access-control-expose-headers"] == "Retry-After"
    first = next(answer for answer in answers if answer.status_code == 201).json()["session_id"]
    async with resources.database.transaction() as db:
        row = await db.get_one(Session, first)
        row.created_at -= timedelta(hours=1)
    assert (await start(api, made["key"], whom)).status_code == 201
    assert (await start(api, made["key"], whom)).status_code == 429
    other = await public_key(api, whom, sessions_per_hour=1)
    assert (await start(api, other["key"], whom)).status_code == 201


async def test_a_revoked_key_and_an_unknown_one_start_nothing(api: httpx.AsyncClient) -> None:
    whom = await assistant(api)
    made = await public_key(api, whom)
    assert (await api.delete(f"/public-keys/{made['id']}")).status_code == 204
    [again] = await listed(api)
    assert again["revoked_at"] is not None
    assert (await api.delete(f"/public-keys/{made['id']}")).status_code == 204
    assert (await listed(api)) == [again]
    for key in (made["key"], "pk_guess"):
        answer = await start(api, key, whom)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_public_key")
    statuses = [(await start(api, f"pk_{n}", whom)).status_code for n in range(12)]
    assert statuses[-1] == 429, "who guesses is slowed down"


async def test_a_public_key_is_no_api_key(api: httpx.AsyncClient) -> None:
    whom = await assistant(api)
    made = await public_key(api, whom)
    headers = {"Authorization": f"Bearer {made['key']}", "Origin": ORIGIN}
    for path in ("/session", "/assistant", "/public-keys", "/call"):
        assert (await api.get(path, headers=headers)).status_code == 401
    answer = await api.post(
        f"/widget/{made['key']}/session",
        json={"assistant_id": whom, "prompt_variables": {"a": "b"}},
        headers={"Origin": ORIGIN},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


async def test_what_is_wrong_with_an_assistant_is_told_to_its_owner_alone(
    api: httpx.AsyncClient,
) -> None:
    whom = await assistant(api, voice={"provider": "cartesia", "id": "v"})
    made = await public_key(api, whom)
    answer = await start(api, made["key"], whom)
    assert (answer.status_code, answer.json()["code"]) == (409, "assistant_unavailable")
    assert "cartesia" not in answer.text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("allowed_origins", [], 422),
        ("allowed_origins", ["*"], 422),
        ("allowed_origins", ["http://example.com"], 422),
        ("assistant_ids", [], 422),
        ("assistant_ids", ["00000000-0000-7000-8000-000000000000"], 404),
        ("sessions_per_hour", 0, 422),
    ],
)
async def test_a_key_that_would_allow_everything_or_nothing_is_not_made(
    api: httpx.AsyncClient, field: str, value: Any, status: int
) -> None:
    body = {
        "name": "k",
        "allowed_origins": [ORIGIN],
        "assistant_ids": [await assistant(api)],
        field: value,
    }
    answer = await api.post("/public-keys", json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert await listed(api) == []
