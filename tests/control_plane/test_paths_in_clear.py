"""Addresses of tools, models and providers whose path is the secret: sealed, and who sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from control_plane.assistants import specs
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.webhook import Delivery
from control_plane.db.sealed import Sealer
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.masks import SealedUrl
from control_plane.domain.providers import CustomModel
from control_plane.providers.needed import access_of, providers_of
from scheduler.campaigns import Feeder
from tests import dumps, offices
from tests.control_plane.test_webhook_addresses import end_everything
from tests.offices import Office

pytestmark = pytest.mark.db

NUMBER, OURS = "+12025550123", "+12025550199"
MARK = "B0Zx81SecretPath"
HOST = "https://one.example"
MASKED = f"{HOST}/****tail"
KEY = "sk-0123456789abcdef"


def url(place: str) -> str:
    """Return an address that nobody may know; `place` says where it was given."""
    return f"{HOST}/hooks/{place}/{MARK}tail"


def model(place: str, **more: Any) -> dict[str, Any]:
    known = {"type": "custom", "model_name": "m", "api_key": KEY, "api_url": url(place)}
    return known | more


def tool(place: str, **more: Any) -> dict[str, Any]:
    texts = {"name": "check_stock", "description": "Looks up.", "method": "POST", "url": url(place)}
    query = [{"key": "token", "value": f"{MARK}q"}]
    lists = {"headers": [{"key": "X-Key", "value": f"{MARK}h"}], "query_params": query}
    return {**texts, **lists, "body_template": "", "input_schema": [], **more}


def speaker(place: str) -> dict[str, Any]:
    return {
        "name": "A",
        "prompt": "p",
        "llm_model": model(f"{place}-model"),
        "llm_fallbacks": [model(f"{place}-fallback")],
        "custom_tools": [tool(f"{place}-tool")],
    }


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        await made.open_trunk()
        yield made


async def assistant(office: Office, **fields: Any) -> dict[str, Any]:
    body = {**speaker("assistant"), **fields}
    made: dict[str, Any] = (await office.ask("POST", "/assistant", body, status=201))["assistant"]
    return made


async def opened(office: Office, assistant_id: str) -> AssistantSpec:
    """Return the assistant as its agent gets it."""
    async with office.database.reading() as db:
        row = await db.get_one(Assistant, assistant_id)
        return await specs.opened(db, office.vault, specs.load(row.spec))


async def order_by_every_way(office: Office) -> str:
    """Have an address given wherever one may be; returns the assistant's id."""
    key: str = (await assistant(office, is_default=True))["id"]
    await office.ask("PATCH", f"/assistant/{key}", {"custom_tools": [tool("patched")]})
    provider = {"api_key": KEY, "api_url": url("provider")}
    await office.ask("PUT", "/provider/openai", provider)
    hook = {"url": "https://hooks.example/all", "event_types": ["*"]}
    await office.client.post("/webhook", json=hook)
    for named in ({}, {"assistant_id": key}, {"assistant": speaker("inline")}):
        body = {"phone_number": NUMBER, "force_now": True, **named}
        answer = await office.client.post("/call", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code in (200, 422), answer.text
        await office.ask("POST", "/call", body)
    rows = [{"phone_number": f"+1202555{n:04}", "assistant": speaker("batch")} for n in range(3)]
    assert (await office.ask("POST", "/call/batch", {"calls": rows}))["placed"] == 3
    for body in ({}, {"assistant": speaker("talk")}):
        headers = {"Idempotency-Key": f"s{len(body)}"}
        told = {**body, "webhook_url": "https://hooks.example/talk"}
        answer = await office.client.post("/session", json=told, headers=headers)
        assert answer.status_code == 201, answer.text
    preset = {"kind": "model", "name": "mine", "model": model("preset")}
    kept = await office.ask("POST", "/preset", preset, status=201)
    await office.ask("PUT", f"/preset/{kept['id']}", {**preset, "model": model("replaced")})
    ids = await office.ask("GET", "/dial/ids")
    named = {"number_id": ids["numbers"][0]["id"], "use_case_id": ids["use_cases"][0]["id"]}
    for more in ({"model_id": ids["models"][0]["id"]}, {"model": "large"}):
        dial = {**named, "phone_number": NUMBER, "max_duration_mins": 5, **more}
        await office.ask("POST", "/dial/outbound", dial)
    redial = {"who_to_call": NUMBER, "when": 0, "model": "gpt-realtime", "instructions": "Hi."}
    await office.ask("POST", "/redial/v1/call/schedule", redial)
    agent = {"agent_id": key, "to_number": NUMBER, "from_number": OURS, "recording": False}
    await office.ask("POST", "/voice/outbound/dial", agent)
    await office.ask("POST", "/voice/start", {"agent_id": key})
    campaign = {"name": "C", "assistant_id": key}
    made = (await office.ask("POST", "/campaign", campaign, status=201))["campaign"]
    await office.ask("POST", f"/campaign/{made['id']}/rows", {"rows": [{"phone_number": NUMBER}]})
    await office.ask("POST", f"/campaign/{made['id']}/launch")
    await Feeder(office.database).check()
    await office.ask("POST", f"/assistant/{key}/test", status=202)
    return key


async def test_nothing_of_it_is_in_the_database_nor_told_to_a_key_for_calls(
    office: Office,
) -> None:
    key = await order_by_every_way(office)
    await end_everything(office)
    kept = await dumps.everything(office.database)
    assert "sealed:" in kept
    assert MASKED in kept, "answers and messages are kept with masks"
    assert MARK not in kept
    clerk = await office.with_key(await office.owner(), scopes=("calls",))
    calls = (await office.ask("GET", "/call?limit=100", client=clerk))["calls"]
    sessions = (await office.ask("GET", "/session", client=clerk))["sessions"]
    paths = ["/assistant", f"/assistant/{key}", "/preset", "/session", "/call", "/dial/ids"]
    paths += [f"/call/{each['id']}" for each in calls]
    paths += [f"/session/{each['id']}" for each in sessions]
    shown = [(await clerk.get(path)).text for path in paths]
    assert sum(MASKED in each for each in shown) > len(calls)
    assert [text for text in shown if MARK in text] == []


async def test_the_agent_gets_every_address_whole(office: Office) -> None:
    key = await order_by_every_way(office)
    now = await opened(office, key)
    assert isinstance(now.llm_model, CustomModel)
    assert now.llm_model.api_url == url("assistant-model")
    assert [each.url for each in now.custom_tools] == [url("patched")]
    whole = set()
    async with office.database.reading() as db:
        for order in await db.scalars(select(CallOrder)):
            version = await db.get_one(AssistantVersion, order.assistant_version_id)
            spec = await specs.opened(db, office.vault, specs.load(version.spec))
            whole |= {each.url for each in spec.custom_tools}
            models = (spec.llm_model, *spec.llm_fallbacks)
            whole |= {each.api_url for each in models if isinstance(each, CustomModel)}
        needed = providers_of(AssistantSpec(name="", prompt=""))
        assert needed == set()
        access = await access_of(db, office.vault, await office.owner(), {"openai"})  # type: ignore[arg-type]
    given = ("patched", "assistant-model", "assistant-fallback", "inline-tool", "batch-model")
    assert {url(each) for each in (*given, "inline-fallback", "replaced")} <= whole
    assert [each.api_url for each in access.values()] == [url("provider")]


async def test_who_may_change_it_sees_it_whole_and_may_send_it_or_its_mask_back(
    office: Office,
) -> None:
    made = await assistant(office)
    path = f"/assistant/{made['id']}"
    clerk = await office.with_key(await office.owner(), scopes=("calls",))
    seen = (await office.ask("GET", path, client=clerk))["assistant"]
    assert made["custom_tools"][0]["url"] == url("assistant-tool")
    assert made["llm_model"]["api_url"] == url("assistant-model")
    assert made["llm_model_in_force"]["api_url"] == url("assistant-model")
    assert seen["custom_tools"][0]["url"] == seen["llm_model"]["api_url"] == MASKED
    before = await opened(office, made["id"])
    names = ("custom_tools", "llm_model", "llm_fallbacks")
    for body in ({"name": "B"}, {n: made[n] for n in names}, {n: seen[n] for n in names}):
        changed = (await office.ask("PATCH", path, body))["assistant"]
        assert {n: changed[n] for n in names} == {n: made[n] for n in names}
        now = await opened(office, made["id"])
        assert [getattr(now, n) for n in names] == [getattr(before, n) for n in names]
    preset = {"kind": "model", "name": "mine", "model": model("preset")}
    kept = await office.ask("POST", "/preset", preset, status=201)
    path = f"/preset/{kept['id']}"
    assert kept["preset"]["model"]["api_url"] == url("preset")
    masked = await office.ask("GET", path, client=clerk)
    assert masked["preset"]["model"]["api_url"] == MASKED
    for told in (kept["preset"], masked["preset"]):
        assert (await office.ask("PUT", path, told))["preset"] == kept["preset"]
    provider = {"api_key": KEY, "api_url": url("provider")}
    shown = await office.ask("PUT", "/provider/openai", provider)
    assert shown["api_url"] == url("provider")
    again = await office.ask("PUT", "/provider/openai", {**provider, "api_key": shown["api_key"]})
    assert again["api_url"] == url("provider")


@pytest.mark.parametrize("given", [f"{HOST}/****othr", "https://thief.example/****tail", "kept"])
async def test_a_mask_of_another_host_and_what_is_kept_are_refused(
    office: Office, given: str
) -> None:
    made = await assistant(office)
    path = f"/assistant/{made['id']}"
    async with office.database.reading() as db:
        stored = (await db.get_one(Assistant, made["id"])).spec
    for field, change in (
        ("llm_model.api_url", lambda it: {"llm_model": {**made["llm_model"], "api_url": it}}),
        ("custom_tools[0].url", lambda it: {"custom_tools": [tool("x", url=it)]}),
    ):
        kept = stored["llm_fallbacks"][0]["api_url"]  # of another place
        assert SealedUrl.parse(kept) is not None
        body = change(kept if given == "kept" else given)
        refused = [
            (await office.ask("PATCH", path, body, status=422))["field"],
            (await office.ask("POST", "/assistant", {**speaker("x"), **body}, status=422))["field"],
        ]
        assert refused == [field, field]
        order = {"phone_number": NUMBER, "assistant": {**speaker("x"), **body}}
        answer = await office.ask("POST", "/call", order, status=422)
        assert answer["field"] == f"assistant.{field}"
    preset = {"kind": "model", "name": "m", "model": model("x", api_url=given)}
    if given == "kept":
        preset["model"] = model("x", api_url=stored["llm_model"]["api_url"])
    assert (await office.ask("POST", "/preset", preset, status=422))["field"] == "model.api_url"


async def test_a_masked_key_is_asked_for_again_where_the_host_is_another(office: Office) -> None:
    made = await assistant(office)
    path = f"/assistant/{made['id']}"
    moved = {**made["llm_model"], "api_url": f"https://two.example/{MARK}"}
    answer = await office.ask("PATCH", path, {"llm_model": moved}, status=422)
    assert answer["field"] == "llm_model.api_key"
    near = {**made["llm_model"], "api_url": url("near")}
    await office.ask("PATCH", path, {"llm_model": near})
    model_now = (await opened(office, made["id"])).llm_model
    assert isinstance(model_now, CustomModel)
    assert (model_now.api_url, model_now.api_key) == (url("near"), KEY)


async def test_fallbacks_at_one_host_keep_their_own_keys(office: Office) -> None:
    """Their masks are the same: only where they stand tells them apart."""
    pair = [model("x", api_url=f"{HOST}/{place}", api_key=f"short-{place}") for place in ("a", "b")]
    made = await assistant(office, llm_fallbacks=pair)
    path = f"/assistant/{made['id']}"
    assert [each["api_key"] for each in made["llm_fallbacks"]] == ["****", "****"]
    clerk = await office.with_key(await office.owner(), scopes=("calls",))
    for reader in (office.client, clerk):
        seen = (await office.ask("GET", path, client=reader))["assistant"]["llm_fallbacks"]
        await office.ask("PATCH", path, {"llm_fallbacks": seen})
        kept = (await opened(office, made["id"])).llm_fallbacks
        told = [(each.api_url, each.api_key) for each in kept if isinstance(each, CustomModel)]
        assert told == [(f"{HOST}/a", "short-a"), (f"{HOST}/b", "short-b")]


async def test_a_variable_in_a_sealed_address_needs_its_value(office: Office) -> None:
    named = tool("x", url=f"{HOST}/{MARK}/{{{{shop}}}}/stock")
    made = await assistant(office, custom_tools=[named])
    body: dict[str, Any] = {"phone_number": NUMBER, "assistant_id": made["id"]}
    answer = await office.ask("POST", "/call", body, status=422)
    assert answer["field"] == "prompt_variables.shop"
    await office.ask("POST", "/call", {**body, "prompt_variables": {"shop": "Lund"}})
    assert (await opened(office, made["id"])).custom_tools[0].url == named["url"]


async def test_addresses_are_sealed_before_the_transaction(office: Office) -> None:
    given = specs.load({**speaker("assistant"), "llm_fallbacks": []})
    sealer = await specs.sealer_for(office.vault, given)
    ready = Sealer(office.vault, urls=[url("other")])
    assert {url("assistant-model"), url("assistant-tool")} <= set(sealer._urls)
    assert set(ready._urls) == {url("other")}


async def test_a_message_about_a_call_names_the_host_alone(office: Office) -> None:
    hook = "https://hooks.example/told"
    body = {"phone_number": NUMBER, "assistant": {**speaker("inline"), "webhook_url": hook}}
    await office.ask("POST", "/call", body)
    await end_everything(office)
    async with office.database.reading() as db:
        [sent] = await db.scalars(select(Delivery).where(Delivery.endpoint_id.is_(None)))
    assert f'"api_url":"{MASKED}"' in sent.payload
    assert f'"url":"{MASKED}"' in sent.payload
    assert MARK not in sent.payload
