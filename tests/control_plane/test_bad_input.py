"""What cannot be used is refused by name, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.served import served

pytestmark = [pytest.mark.db, pytest.mark.asyncio(loop_scope="module")]

NUMBER = "+12025550123"
DEEP = 100_000
TOOL = {
    "name": "check_stock",
    "description": "Looks up stock.",
    "method": "POST",
    "url": "https://example.com/stock",
    "headers": [],
    "query_params": [],
    "body_template": "",
    "input_schema": [],
}
FIELD = {"name": "size", "required": True, "type": "string"}
NEVER = {
    "calling_windows": [{"calling_window_start_time": "9am", "calling_window_end_time": "9am"}]
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    async with served(tmp_path_factory.mktemp("data")) as running:
        yield running.client


def tool(**changes: Any) -> dict[str, Any]:
    return {"custom_tools": [{**TOOL, **changes}]}


def window(**changes: Any) -> dict[str, Any]:
    return {"call_retry_config": {"calling_windows": [changes]}}


def model(**members: Any) -> dict[str, Any]:
    return {"llm_model": members}


def refused(answer: httpx.Response, field: str | None, status: int = 422) -> str:
    """Return the detail of a problem that names the field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body.get("field") == field, body
    detail: str = body["detail"]
    return detail


async def stored(api: httpx.AsyncClient) -> tuple[int, int]:
    """Return how many assistants and calls there are."""
    assistants = (await api.get("/assistant")).json()["assistants"]
    return len(assistants), len((await api.get("/call")).json()["calls"])


WRONG_TYPES = {
    "name": 1,
    "prompt": None,
    "prompt_flow": [],
    "first_sentence": 1,
    "first_sentence_mode": 1,
    "first_sentence_delay_ms": "400",
    "end_of_call_sentence": [],
    "max_call_duration_secs": 600.5,
    "max_duration_end_message": {},
    "silence_timeout_secs": True,
    "faq_items": {},
    "llm_model": "gpt-4.1",
    "voice": "marin",
    "stt": "openai",
    "recording_enabled": "true",
    "background_sound": True,
    "background_sound_volume": "1",
    "thinking_sound": False,
    "thinking_sound_probability": "half",
    "thinking_sound_volume": [],
    "call_retry_config": [],
    "from_phone_number": 12025550123,
    "webhook_url": [],
    "voicemail_message": 1,
    "voicemail_sms_prompt": 1,
    "ivr_navigation_enabled": 1,
    "transfer_phone_number": 12025550123,
    "human_transfer_mode": True,
    "warm_transfer_summary_instructions": 1,
    "custom_tools": {},
    "calendly": "link",
    "sms_enabled": "yes",
    "sms_template": 1,
    "after_call_sms_prompt": 1,
    "email_notification_address": [],
    "email_notification_outcomes": "interested",
    "structured_output_config": {},
    "structured_output_prompt": 1,
}


@pytest.mark.parametrize("field", sorted(WRONG_TYPES))
async def test_a_wrong_type_is_named_wherever_it_stands(api: httpx.AsyncClient, field: str) -> None:
    before = await stored(api)
    given = {"name": "A", "prompt": "p", field: WRONG_TYPES[field]}
    refused(await api.post("/assistant", json=given), field)
    body = {"phone_number": NUMBER, "assistant": given}
    refused(await api.post("/call", json=body), f"assistant.{field}")
    assert await stored(api) == before


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 100_001}, "prompt"),
        ({"first_sentence": "x" * 5_001}, "first_sentence"),
        ({"max_call_duration_secs": 9}, "max_call_duration_secs"),
        ({"max_call_duration_secs": 86_401}, "max_call_duration_secs"),
        ({"silence_timeout_secs": 4}, "silence_timeout_secs"),
        ({"silence_timeout_secs": 601}, "silence_timeout_secs"),
        ({"faq_items": [{"question": "q", "answer": "a"}] * 501}, "faq_items"),
        ({"faq_items": [{"question": "q"}]}, "faq_items[0].answer"),
        ({"faq_items": [{"question": "q", "answer": "a", "id": "x"}]}, "faq_items[0].id"),
        ({"custom_tools": [TOOL] * 65}, "custom_tools"),
        ({"max_call_duration_secs": 2**63}, "max_call_duration_secs"),
        ({"max_call_duration_secs": -(2**63) - 1}, "max_call_duration_secs"),
        ({"first_sentence_delay_ms": 10**40}, "first_sentence_delay_ms"),
        ({"prompt_flow": {"edges": [], "nodes": [{"id": "1"}]}}, "prompt_flow.nodes[0].data"),
        ({"calendly": {"connection_id": "c"}}, "calendly.event_type_id"),
        (model(), "llm_model.type"),
        (model(type=None), "llm_model.type"),
        (model(type="realtime", provider="acme", realtime_model_id="m"), "llm_model.provider"),
        (model(type="realtime", provider="openai"), "llm_model.realtime_model_id"),
        (model(type="openrouter", name="gpt-4.1"), "llm_model.name"),
        (
            model(type="custom", api_url="file:///x", api_key="k", model_name="m"),
            "llm_model.api_url",
        ),
        ({"voice": {"id": "v", "provider": "elevenlabs", "speed": 0.6}}, "voice.speed"),
        ({"voice": {"id": "v", "provider": "elevenlabs", "speed": 1.3}}, "voice.speed"),
        ({"transfer_phone_number": "+1234567890"}, "transfer_phone_number"),
        ({"human_transfer_mode": "warm"}, "human_transfer_mode"),
        ({"from_phone_number": "12025550199"}, "from_phone_number"),
        ({"email_notification_outcomes": ["busy"]}, "email_notification_outcomes[0]"),
        ({"structured_output_config": [FIELD, FIELD]}, "structured_output_config[1].name"),
        (
            {"structured_output_config": [{**FIELD, "type": "enum"}]},
            "structured_output_config[0].enum_options",
        ),
        (
            {"structured_output_config": [{**FIELD, "type": "enum", "enum_options": ["s", "s"]}]},
            "structured_output_config[0].enum_options",
        ),
        ({"call_retry_config": {"timezone": "Mars/Olympus"}}, "call_retry_config.timezone"),
        ({"call_retry_config": {"timezone": "../etc/passwd"}}, "call_retry_config.timezone"),
        ({"call_retry_config": {"allowed_days": []}}, "call_retry_config.allowed_days"),
        ({"call_retry_config": {"allowed_days": ["x"]}}, "call_retry_config.allowed_days[0]"),
        ({"call_retry_config": {"calling_windows": []}}, "call_retry_config.calling_windows"),
        (
            {"call_retry_config": NEVER},
            "call_retry_config.calling_windows[0].calling_window_end_time",
        ),
        (
            window(calling_window_start_time="25:00"),
            "call_retry_config.calling_windows[0].calling_window_start_time",
        ),
        (
            window(retry_delay_seconds=-1),
            "call_retry_config.calling_windows[0].retry_delay_seconds",
        ),
        (tool(name="CheckStock"), "custom_tools[0].name"),
        (tool(name="check stock"), "custom_tools[0].name"),
        (tool(name="x" * 65), "custom_tools[0].name"),
        (tool(name="end_call"), "custom_tools[0].name"),
        ({"custom_tools": [TOOL, TOOL]}, "custom_tools[1].name"),
        (tool(method="HEAD"), "custom_tools[0].method"),
        (tool(description=""), "custom_tools[0].description"),
        (tool(body_template="{"), "custom_tools[0].body_template"),
        (tool(body_template='{"a": {{b}'), "custom_tools[0].body_template"),
        (tool(body_template="[" * 20_000), "custom_tools[0].body_template"),
        (tool(input_schema=[FIELD, FIELD]), "custom_tools[0].input_schema[1].name"),
        (tool(headers=[{"key": "X Y", "value": "v"}]), "custom_tools[0].headers[0].key"),
        (tool(headers=[{"key": "X", "value": "a\r\nB: c"}]), "custom_tools[0].headers[0].value"),
        (tool(headers=[{"key": "X", "value": "naïve"}]), "custom_tools[0].headers[0].value"),
    ],
)
async def test_what_an_assistant_cannot_be_is_named(
    api: httpx.AsyncClient, fields: dict[str, Any], field: str
) -> None:
    before = await stored(api)
    given = {"name": "A", "prompt": "p", **fields}
    detail = refused(await api.post("/assistant", json=given), field)
    assert field.rpartition(".")[2].partition("[")[0] in detail or "****" in detail
    body = {"phone_number": NUMBER, "assistant": given}
    refused(await api.post("/call", json=body), f"assistant.{field}")
    assert await stored(api) == before


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"from_phone_number": "+12025550177"}, "from_phone_number"),
        (tool(headers=[{"key": "X", "value": "****1234"}]), "custom_tools[0].headers[0].value"),
        (
            model(type="custom", api_url="https://x.example", api_key="****1234", model_name="m"),
            "llm_model.api_key",
        ),
    ],
)
async def test_what_refers_to_nothing_is_named(
    api: httpx.AsyncClient, fields: dict[str, Any], field: str
) -> None:
    """A number of somebody else, a mask of no secret."""
    before = await stored(api)
    given = {"name": "A", "prompt": "p", **fields}
    refused(await api.post("/assistant", json=given), field)
    assert await stored(api) == before


@pytest.mark.parametrize(
    "url",
    [
        " ",
        "example.com/hook",
        "//example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "http://",
        "https:///path",
        "http://[::1",
        "http://example.com:99999",
        "http://example.com:0",
        "https://ann:secret@example.com",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com\\@evil.example",
    ],
)
async def test_what_is_no_url_is_no_webhook_and_no_tool(api: httpx.AsyncClient, url: str) -> None:
    given = {"name": "A", "prompt": "p"}
    refused(await api.post("/assistant", json={**given, "webhook_url": url}), "webhook_url")
    refused(await api.post("/assistant", json={**given, **tool(url=url)}), "custom_tools[0].url")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://127.0.0.1:3000/hook?a=b",
        "https://{{tenant}}.example.com/{{ path }}?q={{q}}",
        "http://[2001:db8::1]:{{port}}/",
    ],
)
async def test_a_url_may_hold_placeholders_in_a_tool(api: httpx.AsyncClient, url: str) -> None:
    made = await api.post("/assistant", json={"name": "A", "prompt": "p", **tool(url=url)})
    assert made.status_code == 201, made.text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "a b@example.com",
        "ann@localhost",
        "a@b.c\nBcc: d@e.fr",
        "a@b..c",
        "a@-b.c",
        f"{'a' * 65}@example.com",
        f"a@{'b.' * 130}com",
        "ann@exämple.com",
    ],
)
async def test_what_is_no_mailbox_is_refused(api: httpx.AsyncClient, address: str) -> None:
    given = {"name": "A", "prompt": "p", "email_notification_address": address}
    refused(await api.post("/assistant", json=given), "email_notification_address")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"prompt": "{{who}}"}, "prompt"),
        ({"first_sentence": "{{ who }}"}, "first_sentence"),
        ({"end_of_call_sentence": "{{who}}"}, "end_of_call_sentence"),
        ({"max_duration_end_message": "{{who}}"}, "max_duration_end_message"),
        ({"voicemail_message": "{{who}}"}, "voicemail_message"),
        ({"voicemail_sms_prompt": "{{who}}"}, "voicemail_sms_prompt"),
        ({"after_call_sms_prompt": "{{who}}"}, "after_call_sms_prompt"),
        ({"sms_template": "{{who}}"}, "sms_template"),
        ({"warm_transfer_summary_instructions": "{{who}}"}, "warm_transfer_summary_instructions"),
        ({"structured_output_prompt": "{{transcript}} {{who}}"}, "structured_output_prompt"),
        ({"faq_items": [{"question": "q", "answer": "{{who}}"}]}, "faq_items[0].answer"),
        (tool(url="https://example.com/{{who}}"), "custom_tools[0].url"),
        (tool(body_template='{"a": "{{who}}"}'), "custom_tools[0].body_template"),
        (
            tool(headers=[{"key": "Authorization", "value": "Bearer {{who}}"}]),
            "custom_tools[0].headers[0].value",
        ),
        (
            tool(query_params=[{"key": "q", "value": "{{who}}"}]),
            "custom_tools[0].query_params[0].value",
        ),
    ],
)
async def test_a_variable_without_a_value_is_named_with_its_text(
    api: httpx.AsyncClient, fields: dict[str, Any], place: str
) -> None:
    before = await stored(api)
    body = {"phone_number": NUMBER, "assistant": {"prompt": "p", **fields}}
    detail = refused(await api.post("/call", json=body), "prompt_variables.who")
    assert f"assistant's {place} names {{{{who}}}}" in detail
    assert await stored(api) == before
    given = await api.post("/call", json={**body, "prompt_variables": {"who": "Ann"}})
    assert given.status_code == 200, given.text


async def test_what_has_a_value_anyway_needs_none(api: httpx.AsyncClient) -> None:
    words = "{{transcript}}{{call_direction}}{{user_phone_number}}{{agent_phone_number}}"
    argument = tool(
        url="https://example.com/{{size}}",
        input_schema=[FIELD],
        headers=[{"key": "X-Size", "value": "{{size}}"}],
    )
    body = {"prompt": "p { {{ }} {{", "structured_output_prompt": words, **argument}
    placed = await api.post("/call", json={"phone_number": NUMBER, "assistant": body})
    assert placed.status_code == 200, placed.text


async def test_a_placeholder_that_never_closes_costs_nothing(api: httpx.AsyncClient) -> None:
    body = {"prompt": ("{{" + " " * 49_000) * 2}
    placed = await api.post("/call", json={"phone_number": NUMBER, "assistant": body})
    assert placed.status_code == 200, placed.text


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"concurrency": {"key": "k" * 201, "max": 1}}, "concurrency.key"),
        ({"concurrency": {"key": "k", "max": 0}}, "concurrency.max"),
        ({"concurrency": {"key": "k", "max": 2**63}}, "concurrency.max"),
        ({"concurrency": {"key": "k"}}, "concurrency.max"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "x" * 10_001}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(101)}}, "metadata"),
        ({"prompt_variables": {"a": None}}, "prompt_variables"),
        ({"prompt_variables": {str(n): "x" for n in range(501)}}, "prompt_variables"),
        ({"scheduled_at": 1}, "scheduled_at"),
        ({"scheduled_at": "2099-13-01T00:00:00Z"}, "scheduled_at"),
        ({"call_retry_config": {"allowed_days": ["x"]}}, "call_retry_config.allowed_days[0]"),
        ({"call_retry_config": {"timezone": 1}}, "call_retry_config.timezone"),
        ({"webhook_url": "https://example.com"}, "webhook_url"),
        ({"timezone": "Europe/Paris"}, "timezone"),
    ],
)
async def test_what_an_order_cannot_be_is_named(
    api: httpx.AsyncClient, given: dict[str, Any], field: str
) -> None:
    before = await stored(api)
    refused(await api.post("/call", json={"phone_number": NUMBER, **given}), field)
    assert await stored(api) == before


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"first_sentence_delay_ms": 1e400}', 422, "first_sentence_delay_ms"),
        (b'{"first_sentence_delay_ms": -1}', 422, "first_sentence_delay_ms"),
        (b'{"first_sentence_delay_ms": 1' + b"0" * 5_000 + b"}", 422, "first_sentence_delay_ms"),
        (b'{"background_sound_volume": 1e400}', 422, "background_sound_volume"),
        (b'{"background_sound_volume": NaN}', 400, None),
        (b'{"prompt": "\\u0000"}', 422, None),
        (b'{"prompt": "\x00"}', 400, None),
        (b'{"prompt": "\\ud800"}', 422, None),
        (b'{"prompt": "\xff"}', 400, None),
        (b'{"prompt": "a", "prompt": "b"', 400, None),
        (b'{"custom_tools": ' + b"[" * DEEP + b"]" * DEEP + b"}", 422, "custom_tools[0]"),
        (b"[" * DEEP, 422, None),
        (b'{"unknown": ' + b"[" * DEEP + b"]" * DEEP + b"}", 422, "unknown"),
        (b"[]", 422, None),
        (b"null", 422, None),
        (b'"x"', 422, None),
        (b'{"prompt": "' + b"x" * 300_000 + b'"}', 413, None),
    ],
)
async def test_hostile_bytes_are_a_problem_and_no_fault(
    api: httpx.AsyncClient, body: bytes, status: int, field: str | None
) -> None:
    before = await stored(api)
    [one] = [
        each for each in (await api.get("/assistant")).json()["assistants"] if each["is_default"]
    ]
    refused(await api.patch(f"/assistant/{one['id']}", content=body), field, status)
    assert await stored(api) == before
    assert (await api.get(f"/assistant/{one['id']}")).json()["assistant"] == one


async def test_minus_nothing_is_nothing(api: httpx.AsyncClient) -> None:
    body = b'{"name": "A", "prompt": "p", "first_sentence_delay_ms": -0}'
    made = await api.post("/assistant", content=body)
    assert made.json()["assistant"]["first_sentence_delay_ms"] == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_says_it_is_not_json_is_refused(api: httpx.AsyncClient, kind: str) -> None:
    body = json.dumps({"phone_number": NUMBER})
    answer = await api.post("/call", content=body, headers={"Content-Type": kind})
    assert "Content-Type: application/json" in refused(answer, None, 400)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.a+json"])
async def test_json_by_another_name_is_taken(api: httpx.AsyncClient, kind: str) -> None:
    body = json.dumps({"phone_number": NUMBER})
    answer = await api.post("/call", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text


async def test_a_query_parameter_that_is_missing_is_named(api: httpx.AsyncClient) -> None:
    made = (await api.post("/webhook", json={"url": "https://hooks.example.com/in"})).json()
    answer = await api.post(f"/webhook/{made['id']}/replay")
    assert answer.status_code == 422
    assert answer.json()["field"] == "since"
    assert "missing" in answer.json()["detail"]


async def test_a_body_that_is_too_large_has_one_code(api: httpx.AsyncClient) -> None:
    answer = await api.post("/assistant", content=b" " * 300_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
