"""Credentials that are given for places kept in clear: sealed, or refused with the remedy."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

from control_plane.app import Resources
from control_plane.assistants import specs
from control_plane.db.base import Base
from control_plane.db.models.assistant import Assistant

pytestmark = pytest.mark.db

SECRET = "a8F2kLm9Qz71XyBv03"
MODEL = {"type": "custom", "api_url": "https://one.example/v1", "model_name": "m"}
TOOL = {
    "name": "check_stock",
    "description": "Looks up stock.",
    "method": "GET",
    "url": "https://one.example/stock",
    "headers": [{"key": "Authorization", "value": f"Bearer {SECRET}"}],
    "query_params": [{"key": "api_key", "value": SECRET}, {"key": "city", "value": "Lund"}],
    "body_template": "",
    "input_schema": [],
}


async def create(api: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await api.post("/assistant", json={"name": "A", "prompt": "p", **given})
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    made: dict[str, Any] = answer.json()["assistant"]
    return made


async def change(api: httpx.AsyncClient, made: dict[str, Any], **given: Any) -> httpx.Response:
    answer = await api.patch(f"/assistant/{made['id']}", json=given)
    assert SECRET not in answer.text
    return answer


async def stored(resources: Resources, made: dict[str, Any]) -> dict[str, Any]:
    async with resources.database.reading() as session:
        return (await session.get_one(Assistant, made["id"])).spec


async def opened(resources: Resources, spec: dict[str, Any]) -> Any:
    async with resources.database.reading() as session:
        return await specs.opened(session, resources.vault, specs.load(spec))


async def test_a_credential_in_a_query_is_sealed_everywhere(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    assert made["custom_tools"][0]["query_params"] == [
        {"key": "api_key", "value": f"****{SECRET[-4:]}"},
        {"key": "city", "value": "Lund"},
    ]
    inline = {"name": "B", "prompt": "p", "custom_tools": [TOOL]}
    body = {"phone_number": "+12025550123", "assistant": inline}
    placed = await api.post("/call", json=body)
    assert placed.status_code in (200, 201), placed.text
    assert SECRET not in placed.text
    async with resources.database.reading() as session:
        rows = [
            str(tuple(each))  # a row itself shows long values in part
            for table in Base.metadata.sorted_tables
            for each in (await session.execute(select(table))).all()
        ]
    assert sum("check_stock" in each for each in rows) >= 3  # two versions, and an assistant
    assert [each for each in rows if SECRET in each] == []
    tool = (await opened(resources, await stored(resources, made))).custom_tools[0]
    assert [pair.value for pair in tool.query_params] == [SECRET, "Lund"]
    calls = (await api.post("/keys", json={"name": "shop", "scopes": ["calls"]})).json()
    seen = await api.get(
        f"/assistant/{made['id']}", headers={"Authorization": f"Bearer {calls['key']}"}
    )
    assert seen.status_code == 200
    assert SECRET not in seen.text


async def test_a_mask_in_a_query_leaves_the_secret_as_it_is(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    assert (await change(api, made, custom_tools=made["custom_tools"])).status_code == 200
    tool = (await opened(resources, await stored(resources, made))).custom_tools[0]
    assert tool.query_params[0].value == SECRET


async def test_a_reference_in_a_query_cannot_be_given_from_outside(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    victim = await create(api, custom_tools=[TOOL])
    text = (await stored(resources, victim))["custom_tools"][0]["query_params"][0]["value"]
    pairs = [{"key": "city", "value": text}]
    thief = await create(
        api, custom_tools=[{**TOOL, "url": "https://thief.example/", "query_params": pairs}]
    )
    tool = (await opened(resources, await stored(resources, thief))).custom_tools[0]
    assert tool.query_params[0].value == text


async def test_what_was_kept_in_clear_before_is_shown_to_nobody_and_sealed_with_the_next_change(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    old = await stored(resources, made)
    old["custom_tools"][0]["query_params"][0]["value"] = SECRET
    async with resources.database.transaction() as session:
        row = await session.get_one(Assistant, made["id"])
        row.spec = msgspec.json.decode(msgspec.json.encode(old))
    assert SECRET not in (await api.get(f"/assistant/{made['id']}")).text
    old_tool = (await opened(resources, old)).custom_tools[0]
    assert old_tool.query_params[0].value == SECRET
    assert (await change(api, made, name="C")).status_code == 200
    now = await stored(resources, made)
    assert SECRET not in str(now)
    assert (await opened(resources, now)).custom_tools[0].query_params[0].value == SECRET


@pytest.mark.parametrize(
    ("given", "field", "remedy"),
    [
        (
            {"custom_tools": [{**TOOL, "url": f"https://one.example/?token={SECRET}"}]},
            "custom_tools[0].url",
            "query_params or headers",
        ),
        (
            {"custom_tools": [{**TOOL, "body_template": f'{{"api_key": "{SECRET}"}}'}]},
            "custom_tools[0].body_template",
            "move it to headers",
        ),
        ({"webhook_url": f"https://me:{SECRET}@one.example/"}, "webhook_url", "leave it out"),
        ({"webhook_url": f"https://one.example/?secret={SECRET}"}, "webhook_url", "signed"),
        (
            {"llm_model": {**MODEL, "api_key": "k", "api_url": f"https://a:{SECRET}@b.example"}},
            "llm_model.api_url",
            "leave it out",
        ),
        (
            {"llm_model": {**MODEL, "api_key": "k", "api_url": f"https://b.example?key={SECRET}"}},
            "llm_model.api_url",
            "api_key",
        ),
    ],
)
async def test_a_credential_where_it_cannot_be_sealed_is_refused_with_the_remedy(
    api: httpx.AsyncClient, given: dict[str, Any], field: str, remedy: str
) -> None:
    answer = await api.post("/assistant", json={"name": "A", "prompt": "p", **given})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert remedy in answer.json()["detail"]
    assert SECRET not in answer.text


async def test_a_webhook_and_a_provider_keep_no_credential_in_their_urls(
    api: httpx.AsyncClient,
) -> None:
    for url in (f"https://one.example/?token={SECRET}", f"https://me:{SECRET}@one.example/"):
        hook = await api.post("/webhook", json={"url": url})
        assert (hook.status_code, hook.json()["field"]) == (422, "url")
        assert SECRET not in hook.text
        put = await api.put("/provider/openai", json={"api_key": "sk-0123456789", "api_url": url})
        assert (put.status_code, put.json()["field"]) == (422, "api_url")
        assert SECRET not in put.text


@pytest.mark.parametrize("url", ["https://two.example/v1", "http://one.example/v1"])
async def test_a_mask_does_not_send_the_secret_to_a_new_address(
    api: httpx.AsyncClient, resources: Resources, url: str
) -> None:
    made = await create(api, llm_model={**MODEL, "api_key": SECRET}, custom_tools=[TOOL])
    for given, field in (
        ({"llm_model": {**made["llm_model"], "api_url": url}}, "llm_model.api_key"),
        (
            {"custom_tools": [{**made["custom_tools"][0], "url": url}]},
            "custom_tools[0].headers[0].value",
        ),
    ):
        answer = await change(api, made, **given)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert "give the value itself again" in answer.json()["detail"]
    # Another path at the same address is no other address.
    near = {**made["llm_model"], "api_url": "https://one.example/v2"}
    assert (await change(api, made, llm_model=near)).status_code == 200
    spec = await opened(resources, await stored(resources, made))
    assert (spec.llm_model.api_url, spec.llm_model.api_key) == ("https://one.example/v2", SECRET)


async def test_a_new_key_for_a_new_address_does_not_reach_the_old_one(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    """Orders that wait hold the version before: its secret is not rotated by another's."""
    made = await create(api, llm_model={**MODEL, "api_key": SECRET})
    before = await stored(resources, made)
    fresh = {**MODEL, "api_url": "https://two.example/v1", "api_key": "another-key-of-two-9876"}
    assert (await change(api, made, llm_model=fresh)).status_code == 200
    assert (await opened(resources, before)).llm_model.api_key == SECRET
    now = await opened(resources, await stored(resources, made))
    assert now.llm_model.api_key == "another-key-of-two-9876"
