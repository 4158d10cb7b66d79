"""Placing, reading, listing and cancelling calls over HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from control_plane.app import Resources, create_public_app
from control_plane.documents import describe_native
from control_plane.domain.ids import new_id

pytestmark = [pytest.mark.db, pytest.mark.engines]

NUMBER = "+12025550123"


async def place(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/call", json={"phone_number": NUMBER, **fields})
    assert answer.status_code == 200, answer.text
    call: dict[str, Any] = answer.json()["call"]
    return call


WHEN = "scheduled_at"


def problem(answer: httpx.Response, status: int, field: str | None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body.get("field") == field
    assert body["detail"]
    return body


@pytest.mark.parametrize("path", ["/call", "/api/call"])
async def test_a_call_is_placed_with_the_default_assistant(
    api: httpx.AsyncClient, path: str
) -> None:
    body = {"phone_number": "+1 (202) 555-0123", "force_now": True}
    answer = await api.post(path, json=body)
    call = answer.json()["call"]
    assert answer.status_code == 200
    assert call["to_phone_number"] == NUMBER
    assert call["status"] == "queued_for_calling"
    assert call["assistant"]["name"] == "Bright Smile Dental"
    assert call["call_attempts"] == []
    assert call["last_call_attempt"] is None
    assert call["not_yet_supported"] == []
    again = await api.get(f"{path}/{call['id']}")
    assert again.json()["call"] == call


async def test_the_seed_shape_is_there(api: httpx.AsyncClient) -> None:
    call = await place(api, metadata={"foo": "string"}, prompt_variables={"a": "b"})
    seed = (
        "id assistant call_attempts calls_count campaign created_at direction "
        "first_sentence_delay_ms from_phone_number is_cancelled is_completed last_call_attempt "
        "llm_model metadata organization_id prompt_variables scheduled_at status "
        "to_phone_number updated_at outcome outcome_summary"
    )
    assert set(seed.split()) <= set(call)
    assert call["metadata"] == {"foo": "string"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "phone_number"),
        ({"phone_number": 5}, 422, "phone_number"),
        ({"phone_number": "12"}, 422, "phone_number"),
        ({"phone_number": "+1234567890"}, 422, "phone_number"),
        ({"phone_number": NUMBER, "phone_nubmer": 1}, 422, "phone_nubmer"),
        ({"phone_number": NUMBER, "webhook_url": "http://x"}, 422, "webhook_url"),
        ({"phone_number": NUMBER, "force_now": "yes"}, 422, "force_now"),
        ({"phone_number": NUMBER, "scheduled_at": "tomorrow"}, 422, "scheduled_at"),
        ({"phone_number": NUMBER, "scheduled_at": "2030-01-01T10:00:00"}, 422, "scheduled_at"),
        (
            {"phone_number": NUMBER, "force_now": True, "scheduled_at": "2030-01-01T10:00:00Z"},
            422,
            "scheduled_at",
        ),
        ({"phone_number": NUMBER, "assistant_id": new_id()}, 404, "assistant_id"),
        ({"phone_number": NUMBER, "assistant_id": "x"}, 404, "assistant_id"),
        ({"phone_number": NUMBER, "from_phone_number": "+12025550188"}, 422, "from_phone_number"),
        ({"phone_number": NUMBER, "assistant": {"name": "x"}}, 422, "assistant.prompt"),
        (
            {"phone_number": NUMBER, "assistant": {"prompt": "x", "sms_enabeld": True}},
            422,
            "assistant.sms_enabeld",
        ),
        (
            {"phone_number": NUMBER, "assistant": {"prompt": "Hi {{name}}"}},
            422,
            "prompt_variables.name",
        ),
        (
            {
                "phone_number": NUMBER,
                "assistant": {"prompt": "x", "first_sentence_mode": "static"},
            },
            422,
            "assistant.first_sentence",
        ),
        ({"phone_number": NUMBER + "\0"}, 422, None),
        (
            {"phone_number": NUMBER, "scheduled_at": "9999-12-31T23:59:59-14:00"},
            422,
            "scheduled_at",
        ),
        (
            {"phone_number": NUMBER, "scheduled_at": "0001-01-01T00:00:00+14:00"},
            422,
            "scheduled_at",
        ),
        ({"phone_number": NUMBER, "metadata": {"a": {}}}, 422, "metadata"),
        ({"phone_number": NUMBER + " please"}, 422, "phone_number"),
    ],
)
async def test_bad_input_names_the_field_and_writes_nothing(
    api: httpx.AsyncClient, body: dict[str, Any], status: int, field: str | None
) -> None:
    problem(await api.post("/call", json=body), status, field)
    assert (await api.get("/call")).json()["calls"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
async def test_what_is_not_json_is_a_problem(api: httpx.AsyncClient, content: bytes) -> None:
    problem(await api.post("/call", content=content), 400, None)


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"x\uDFFFy", rb"\udc00\ud800", rb"\ud83d\ude00\ud83d"]
)
async def test_half_a_surrogate_pair_is_named(api: httpx.AsyncClient, text: bytes) -> None:
    refused = await api.post("/call", content=b'{"phone_number":"' + text + b'"}')
    assert "surrogate" in problem(refused, 422, None)["detail"]


async def test_a_whole_surrogate_pair_is_text(api: httpx.AsyncClient) -> None:
    body = rb'{"phone_number":"+12025550123","metadata":{"a":"\ud83d\ude00 \\ud800"}}'
    answer = await api.post("/call", content=body)
    assert answer.json()["call"]["metadata"] == {"a": "\U0001f600 \\ud800"}


@pytest.mark.parametrize(
    ("assistant", "words"),
    [
        ({"prompt": "x", "voice": {"id": "v", "provider": "acme"}}, "cartesia, elevenlabs"),
        (
            {"prompt": "x", "llm_model": {"type": "acme"}},
            "custom, dedicated-instance, embedded, openrouter, realtime",
        ),
        ({"prompt": "x", "first_sentence_mode": "acme"}, "generated, none, static"),
        ({"prompt": 5}, "expected text, got a whole number"),
    ],
)
async def test_a_wrong_word_is_answered_with_the_right_ones(
    api: httpx.AsyncClient, assistant: dict[str, Any], words: str
) -> None:
    refused = await api.post("/call", json={"phone_number": NUMBER, "assistant": assistant})
    assert words in refused.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("stauts=completed", 422, "stauts"),
        ("status=nope", 422, "status"),
        ("direction=up", 422, "direction"),
        ("limit=0", 422, "limit"),
        ("limit=x", 422, "limit"),
        ("cursor=x", 404, "cursor"),
        ("number=12", 422, "number"),
    ],
)
async def test_bad_filters_are_named(
    api: httpx.AsyncClient, query: str, status: int, field: str
) -> None:
    problem(await api.get(f"/call?{query}"), status, field)


async def test_calls_are_filtered_by_number_and_direction(api: httpx.AsyncClient) -> None:
    await api.post("/call", json={"phone_number": NUMBER})
    for query, count in (
        (f"number={NUMBER}", 1),  # a plus that curl did not escape
        ("number=%2B12025550166", 0),
        ("direction=outbound", 1),
        ("direction=inbound", 0),
    ):
        assert len((await api.get(f"/call?{query}")).json()["calls"]) == count, query


async def test_a_megabyte_is_too_large(api: httpx.AsyncClient) -> None:
    body = json.dumps({"phone_number": "1" * 1_000_000})
    problem(await api.post("/call", content=body), 413, None)


@pytest.mark.parametrize("key", ["", "Basic x", "Bearer ", "Bearer nope", "Bearer ok_00_00"])
async def test_without_a_valid_key_nothing_opens(api: httpx.AsyncClient, key: str) -> None:
    for path in ("/call", "/assistant", "/trunk", f"/recording/{new_id()}"):
        answer = await api.get(path, headers={"Authorization": key})
        problem(answer, 401, None)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/call/x", "/call/00000000", f"/call/{new_id()}"])
async def test_an_unknown_call_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    problem(await api.get(path), 404, "id")
    problem(await api.post(f"{path}/cancel"), 404, "id")


async def test_a_revoked_key_is_refused_and_scopes_hold(api: httpx.AsyncClient) -> None:
    made = (await api.post("/keys", json={"name": "shop", "scopes": ["calls"]})).json()
    theirs = {"Authorization": f"Bearer {made['key']}"}
    assert (await api.get("/call", headers=theirs)).status_code == 200
    problem(await api.get("/keys", headers=theirs), 403, None)
    listed = (await api.get("/keys")).json()["keys"]
    assert made["id"] in {key["id"] for key in listed}
    assert all(key["key"] is None for key in listed)
    assert (await api.delete(f"/keys/{made['id']}")).status_code == 204
    problem(await api.get("/call", headers=theirs), 401, None)


async def test_listing_pages_by_cursor_and_filters(api: httpx.AsyncClient) -> None:
    placed = [(await place(api))["id"] for _ in range(3)]
    other = await place(api, phone_number="+12025550124")
    first = (await api.get("/call", params={"limit": 3})).json()
    rest = (await api.get("/call", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    ids = [call["id"] for call in first["calls"] + rest["calls"]]
    assert ids == [other["id"], *reversed(placed)]
    assert rest["next_cursor"] is None
    by_number = (await api.get("/call", params={"number": "+12025550124"})).json()["calls"]
    assert [call["id"] for call in by_number] == [other["id"]]
    await api.post(f"/call/{other['id']}/cancel")
    cancelled = (await api.get("/call", params={"status": "cancelled"})).json()["calls"]
    assert [call["id"] for call in cancelled] == [other["id"]]
    problem(await api.get("/call", params={"status": "lost"}), 422, "status")


async def test_a_waiting_call_is_cancelled_at_once_and_again_harmlessly(
    api: httpx.AsyncClient,
) -> None:
    call = await place(api, scheduled_at="2099-01-01T10:00:00+02:00")
    assert call["status"] == "scheduled"
    assert call["waiting_for"] == "scheduled_at"
    assert call["next_at"] == "2099-01-01T15:00:00Z"  # when the first window opens in Washington
    for _ in range(2):
        answer = await api.post(f"/call/{call['id']}/cancel", json={})
        assert answer.status_code == 202
        assert answer.json()["call"]["status"] == "cancelled"


async def test_events_are_listed_and_streamed_to_the_end(api: httpx.AsyncClient) -> None:
    call = await place(api)
    listed = (await api.get(f"/call/{call['id']}/events")).json()["events"]
    assert [event["type"] for event in listed] == ["order_placed"]
    await api.post(f"/call/{call['id']}/cancel")
    stream = await api.get(f"/call/{call['id']}/events", headers={"Accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    frames = [frame.split("\n") for frame in stream.text.split("\n\n") if frame]
    assert [frame[1] for frame in frames] == [
        "event: order_placed",
        "event: cancel_requested",
        "event: call.cancelled",
    ]
    assert json.loads(frames[-1][2].removeprefix("data: "))["data"]["status"] == "cancelled"
    resumed = await api.get(
        f"/call/{call['id']}/events",
        headers={"Accept": "text/event-stream", "Last-Event-ID": "2"},
    )
    assert resumed.text.startswith("id: 3\n")


async def test_health_names_what_is_missing(api: httpx.AsyncClient) -> None:
    assert (await api.get("/health/live")).json() == {"live": True}
    answer = await api.get("/health/ready")
    parts = {part["name"]: part for part in answer.json()["parts"]}
    assert answer.status_code == 503
    assert parts["database"]["ok"]
    for name in ("livekit", "sip", "worker", "scheduler"):
        assert not parts[name]["ok"]
        assert parts[name]["remedy"]


@pytest.fixture
async def document(resources: Resources) -> Any:
    app = create_public_app(resources)
    await describe_native(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        return (await api.get("/schema/openapi.json")).json()


async def test_every_route_is_documented(document: Any) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) > 25
    assert all(op["operationId"] and op.get("summary") for op in operations)
    assert len({op["operationId"] for op in operations}) == len(operations)


async def test_every_operation_tells_of_its_errors(document: Any) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/health"):
                assert operation["security"] == []
                continue
            told = {"403", "404", "409", "422", "429", "500", "503"}
            told |= {"401"} if operation.get("security") != [] else set()
            told |= {"400", "413"} if "requestBody" in operation else set()
            assert told <= set(operation["responses"]), (method, path)
    references = set(re.findall(r"#/components/schemas/([\w.]+)", json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert "/livekit/webhook" not in document["paths"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/x", 404), ("PUT", "/call", 405)])
async def test_what_is_not_there_says_what_is(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    detail = problem(await api.request(method, path), status, None)["detail"]
    assert "/schema" in detail


async def test_a_forged_livekit_webhook_is_refused(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    answer = await api.post("/livekit/webhook", content=b"{}", headers={"Authorization": "forged"})
    problem(answer, 401, None)
