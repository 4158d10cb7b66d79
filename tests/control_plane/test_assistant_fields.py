"""Which fields are acted on, and what becomes of an assistant's secrets, numbers and questions."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import text

from control_plane.app import Resources
from control_plane.assistants import specs
from control_plane.assistants.schemas import InlineAssistant, merge
from control_plane.assistants.secrets import PLAIN_HEADERS, Reference
from control_plane.db.models.assistant import Assistant
from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.declared import not_yet_supported, settings_of
from control_plane.orders.schemas import PlaceCall
from tests.factories import spec
from tests.field_pages import ORDER

pytestmark = pytest.mark.db

ASSISTANT = {name: each.support for name, each in settings_of(AssistantSpec).items()}
NUMBER = "+12025550123"
OURS = "+12025550199"
TOOL = {
    "name": "check_stock",
    "description": "Looks up stock.",
    "method": "GET",
    "url": "https://example.com/stock",
    "headers": [
        {"key": "Authorization", "value": "Bearer a-long-secret-of-the-shop-5678"},
        {"key": "Accept", "value": "application/json"},
    ],
    "query_params": [],
    "body_template": "",
    "input_schema": [],
}


def fields(kind: Any) -> set[str]:
    return {field.name for field in msgspec.structs.fields(kind)}


def test_the_table_knows_every_field_of_an_order_and_no_other() -> None:
    assert set(ORDER) == fields(PlaceCall)


@pytest.mark.parametrize("symbol", sorted({*ASSISTANT.values(), *ORDER.values()} - {None}))
def test_every_place_exists(symbol: str) -> None:
    module, _, name = symbol.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert inspect.isfunction(found) or inspect.isclass(found)


def test_what_is_left_to_build_is_known() -> None:
    """This list only ever gets shorter; when it is empty, `not_yet_supported` goes."""
    assert {name for name, symbol in ASSISTANT.items() if symbol is None} <= {
        "after_call_sms_prompt",
        "calendly",
        "custom_tools",
        "email_notification_address",
        "email_notification_outcomes",
        "ivr_navigation_enabled",
        "sms_enabled",
        "sms_template",
        "structured_output_config",
        "structured_output_prompt",
        "transfer_phone_number",
        "voicemail_message",
        "voicemail_sms_prompt",
    }


def test_only_what_differs_from_its_default_is_listed() -> None:
    assert not_yet_supported(spec()) == []
    assert not_yet_supported(spec(sms_enabled=False, sms_template=None)) == []
    changed = spec(sms_enabled=True, sms_template="Hi.", first_sentence="Hi.")
    assert not_yet_supported(changed) == ["sms_enabled", "sms_template"]


async def test_answers_name_what_is_not_supported(api: httpx.AsyncClient) -> None:
    made = await api.post("/assistant", json={"name": "A", "prompt": "p", "sms_enabled": True})
    assert made.json()["assistant"]["not_yet_supported"] == ["sms_enabled"]
    body = {"phone_number": NUMBER, "assistant_id": made.json()["assistant"]["id"]}
    call = (await api.post("/call", json=body)).json()["call"]
    assert call["assistant"]["not_yet_supported"] == ["sms_enabled"]
    assert call["not_yet_supported"] == ["sms_enabled"]


async def create(api: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await api.post("/assistant", json={"name": "A", "prompt": "p", **given})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["assistant"]
    return made


async def opened(resources: Resources, assistant: dict[str, Any]) -> AssistantSpec:
    """Return what an agent would get."""
    async with resources.database.reading() as session:
        row = await session.get_one(Assistant, assistant["id"])
        return await specs.opened(session, resources.vault, specs.load(row.spec))


async def secrets_kept(resources: Resources) -> int:
    async with resources.database.reading() as session:
        return (await session.execute(text("SELECT count(*) FROM secret"))).scalar_one()


async def test_a_tools_headers_are_sealed_and_shown_masked(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    assert made["custom_tools"][0]["headers"] == [
        {"key": "Authorization", "value": "****5678"},
        {"key": "Accept", "value": "application/json"},
    ]
    async with resources.database.reading() as session:
        row = await session.get_one(Assistant, made["id"])
        sealed = (await session.execute(text("SELECT ciphertext FROM secret"))).scalars().all()
    assert "a-long-secret" not in str(row.spec)
    assert not any("a-long-secret" in str(each) for each in sealed)
    told = await opened(resources, made)
    assert told.custom_tools[0].headers[0].value == TOOL["headers"][0]["value"]
    inline = {"prompt": "p", "custom_tools": [TOOL]}
    call = await api.post("/call", json={"phone_number": NUMBER, "assistant": inline})
    assert "a-long-secret" not in call.text


async def test_a_masked_header_stays_through_other_changes(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    path = f"/assistant/{made['id']}"
    shown = made["custom_tools"][0]
    before = await secrets_kept(resources)
    for sent in (
        [shown],
        [{**shown, "headers": list(reversed(shown["headers"]))}],
        [{**TOOL, "name": "another", "headers": []}, shown],
        [{**shown, "name": "look_up"}],
    ):
        changed = await api.patch(path, json={"custom_tools": sent})
        assert changed.status_code == 200, changed.text
        told = await opened(resources, made)
        values = {each.value for tool in told.custom_tools for each in tool.headers}
        assert TOOL["headers"][0]["value"] in values
    assert await secrets_kept(resources) == before
    lost = await api.patch(
        path,
        json={"custom_tools": [{**shown, "headers": [{"key": "X-Other", "value": "****5678"}]}]},
    )
    assert lost.json()["field"] == "custom_tools[0].headers[0].value"


async def test_a_new_header_value_reaches_the_version_that_waits(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    made = await create(api, custom_tools=[TOOL])
    async with resources.database.reading() as session:
        old = (await session.get_one(Assistant, made["id"])).spec
    fresh = {**TOOL, "headers": [{"key": "authorization", "value": "Bearer the-next-one-of-1234"}]}
    await api.patch(f"/assistant/{made['id']}", json={"custom_tools": [fresh]})
    async with resources.database.reading() as session:
        told = await specs.opened(session, resources.vault, specs.load(old))
    assert told.custom_tools[0].headers[0].value == "Bearer the-next-one-of-1234"


async def test_a_header_with_other_variables_does_not_reach_it(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    """Orders that wait have no value for a variable that came later."""
    made = await create(api, custom_tools=[TOOL])
    async with resources.database.reading() as session:
        old = (await session.get_one(Assistant, made["id"])).spec
    fresh = {**TOOL, "headers": [{"key": "Authorization", "value": "Bearer {{token}}"}]}
    await api.patch(f"/assistant/{made['id']}", json={"custom_tools": [fresh]})
    async with resources.database.reading() as session:
        told = await specs.opened(session, resources.vault, specs.load(old))
    assert told.custom_tools[0].headers[0].value == TOOL["headers"][0]["value"]


async def test_a_reference_cannot_be_given_from_outside(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    """Else whoever guesses an id could have anybody's secret sent to a host of theirs."""
    victim = await create(api, custom_tools=[TOOL])
    async with resources.database.reading() as session:
        row = await session.get_one(Assistant, victim["id"])
    stolen = row.spec["custom_tools"][0]["headers"][0]["value"]
    model = {"type": "custom", "api_url": "https://thief.example", "model_name": "m"}
    thief = await create(api, llm_model={**model, "api_key": stolen})
    told = await opened(resources, thief)
    assert getattr(told.llm_model, "api_key", None) == stolen


@pytest.mark.parametrize("hint", ["", "ab:c", "{{a}", "x}}\n"])
@pytest.mark.parametrize("names", [(), ("a",), ("a b", "c:d")])
def test_a_reference_is_read_as_it_was_written(hint: str, names: tuple[str, ...]) -> None:
    reference = Reference("0" * 36, hint, names)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(f"x{reference}") is None


def test_headers_that_may_carry_a_login_are_not_plain() -> None:
    assert not PLAIN_HEADERS & {"authorization", "cookie", "x-api-key", "proxy-authorization"}


async def test_a_question_keeps_its_id_and_the_list_replaces_the_old_one(
    api: httpx.AsyncClient,
) -> None:
    one, two = ({"question": q, "answer": "a"} for q in ("Open?", "Far?"))
    made = await create(api, faq_items=[one, two])
    ids = {each["question"]: each["id"] for each in made["faq_items"]}
    assert len(set(ids.values())) == 2
    assert {(each["source"], each["needs_human_answer"]) for each in made["faq_items"]} == {
        ("human", False)
    }
    assert made["pending_faq_count"] == 0
    sent = [{"question": "Far?", "answer": "No."}, {"question": "New?", "answer": "Yes."}]
    path = f"/assistant/{made['id']}"
    items = (await api.patch(path, json={"faq_items": sent})).json()["assistant"]["faq_items"]
    assert [(each["question"], each["answer"]) for each in items] == [
        ("Far?", "No."),
        ("New?", "Yes."),
    ]
    assert items[0]["id"] == ids["Far?"]
    assert items[1]["id"] not in ids.values()
    untouched = (await api.patch(path, json={"prompt": "q"})).json()["assistant"]
    assert untouched["faq_items"] == items


async def test_the_number_shown_is_one_of_ours(api: httpx.AsyncClient) -> None:
    made = await create(api, from_phone_number="+1 (202) 555-0199")
    assert made["from_phone_number"] == OURS
    changed = await api.patch(
        f"/assistant/{made['id']}", json={"from_phone_number": "+12025550177"}
    )
    assert (changed.status_code, changed.json()["field"]) == (422, "from_phone_number")


async def test_a_transfer_needs_its_number(api: httpx.AsyncClient) -> None:
    given = {"transfer_phone_number": "+1 202 555 0123", "human_transfer_mode": "cold"}
    made = await create(api, **given)
    assert made["transfer_phone_number"] == NUMBER
    path = f"/assistant/{made['id']}"
    refused = await api.patch(path, json={"transfer_phone_number": None})
    assert (refused.status_code, refused.json()["field"]) == (422, "human_transfer_mode")
    gone = await api.patch(path, json=dict.fromkeys(given))
    assert gone.json()["assistant"]["human_transfer_mode"] is None


def test_errors_of_an_inline_assistant_say_where_it_stands() -> None:
    given = InlineAssistant(prompt="p", webhook_url="ftp://x")
    with pytest.raises(Exception, match="webhook_url") as refused:
        merge(given)
    assert getattr(refused.value, "field", None) == "assistant.webhook_url"
