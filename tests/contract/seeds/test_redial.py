"""The Redial document, endpoint by endpoint, from its own examples, fields and words."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct, inspect

from control_plane.dialects.redial.controller import (
    CallStatus,
    Cancelled,
    Event,
    Scheduled,
    Transcript,
)
from control_plane.dialects.redial.requests import Schedule
from tests.contract.seeds.facts import NUMBER, Node, differences

pytestmark = [pytest.mark.db, pytest.mark.asyncio(loop_scope="module")]

FACTS: Node = json.loads(Path(__file__).with_name("redial.json").read_text())
ENDPOINTS: Node = FACTS["endpoints"]
KINDS: dict[str, tuple[type[Struct] | None, type[Struct]]] = {
    "POST /call/schedule": (Schedule, Scheduled),
    "POST /call/cancel": (Event, Cancelled),
    "GET /call/status": (None, CallStatus),
    "GET /call/transcript": (None, Transcript),
}
MOUNTS = ["/redial/v1", FACTS["base"]]
PLAIN = {"who_to_call": NUMBER, "when": 0, "model": "gpt-realtime", "instructions": "Be kind."}
NOBODY = "01a227ec-227b-746b-8ea9-d5aba46fc2df"


async def schedule(
    api: httpx.AsyncClient, mount: str = FACTS["base"], **fields: Any
) -> httpx.Response:
    return await api.post(f"{mount}/call/schedule", json={**PLAIN, **fields})


async def native(api: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """Return the order behind an answer, as the native API shows it."""
    assert answer.status_code == 200, answer.text
    shown = await api.get(f"/call/{answer.json()['event_id']}")
    call: dict[str, Any] = shown.json()["call"]
    return call


async def test_every_endpoint_of_the_document_is_known() -> None:
    assert set(KINDS) == set(ENDPOINTS)


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
async def test_every_field_has_its_type_and_words(name: str) -> None:
    request, response = KINDS[name]
    told: Node = {"type": "object", "fields": ENDPOINTS[name]["response"]}
    assert list(differences(told, inspect.type_info(response), "answer")) == []
    if request is not None:
        asked: Node = {"type": "object", "fields": ENDPOINTS[name]["request"]}
        assert list(differences(asked, inspect.type_info(request), "request")) == []


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("example", range(len(FACTS["examples"])))
async def test_an_example_of_the_document_is_scheduled(
    api: httpx.AsyncClient, example: int, mount: str
) -> None:
    """The number is a placeholder there, and one minute from now is computed."""
    given = {**FACTS["examples"][example], "who_to_call": NUMBER}
    if given["when"] == "one_minute_from_now":
        given["when"] = int(time.time()) + 60
    answer = await api.post(f"{mount}/call/schedule", json=given)
    assert answer.json() == {
        "event_id": answer.json()["event_id"],
        "status": "scheduled",
        "error": None,
    }
    call = await native(api, answer)
    assert call["to_phone_number"] == NUMBER
    assert call["assistant"]["prompt"] == given["instructions"]
    assert call["llm_model"]["provider"] == "openai"
    assert call["llm_model"]["realtime_model_id"] == given["model"]
    voice = given.get("custom_llm_config", {}).get("voice")
    assert call["llm_model"]["realtime_voice_id"] == voice
    query = {"event_id": answer.json()["event_id"]}
    status = await api.get(f"{mount}/call/status", params=query)
    assert (status.status_code, status.json()) == (200, {"status": "scheduled"})
    transcript = await api.get(f"{mount}/call/transcript", params=query)
    assert transcript.json() == {"status": "scheduled", "transcript": ""}
    for _ in range(2):  # a call that is cancelled already is cancelled
        cancelled = await api.post(f"{mount}/call/cancel", json=query)
        assert (cancelled.status_code, cancelled.json()) == (200, {"success": True})
    status = await api.get(f"{mount}/call/status", params=query)
    assert status.json() == {"status": "cancelled"}


@pytest.mark.parametrize("model", ENDPOINTS["POST /call/schedule"]["request"]["model"]["examples"])
async def test_every_model_that_it_names_is_taken(api: httpx.AsyncClient, model: str) -> None:
    call = await native(api, await schedule(api, model=model))
    assert call["llm_model"]["realtime_model_id"] == model


@pytest.mark.parametrize("when", [0, -1, 1, 1_714_070_400])
async def test_zero_or_a_past_instant_is_now(api: httpx.AsyncClient, when: int) -> None:
    call = await native(api, await schedule(api, when=when))
    assert (call["status"], call["waiting_for"]) == ("queued_for_calling", None)


async def test_a_later_second_is_waited_for(api: httpx.AsyncClient) -> None:
    later = int(time.time()) + 86_400
    call = await native(api, await schedule(api, when=later))
    assert datetime.fromisoformat(call["scheduled_at"]) == datetime.fromtimestamp(later, UTC)
    assert (call["status"], call["waiting_for"]) == ("scheduled", "scheduled_at")


async def test_there_are_no_calling_windows_and_one_attempt(api: httpx.AsyncClient) -> None:
    config = (await native(api, await schedule(api)))["call_retry_config"]
    assert len(config["allowed_days"]) == 7
    [window] = config["calling_windows"]
    assert window["calling_window_start_time"] == "00:00"
    assert window["calling_window_end_time"] == "24:00"
    assert config["max_retry_attempts"] == 1


async def test_instructions_are_taken_as_they_are(api: httpx.AsyncClient) -> None:
    said = "Ask {{who}} on {{current_date}} about { {{ odd name }}."
    call = await native(api, await schedule(api, instructions=said))
    values = call["prompt_variables"]
    assert call["assistant"]["prompt"] == said
    assert values["who"] == "{{who}}"
    assert values["current_date"] == "{{current_date}}"  # ours has no value of its own here


SERVER = {"type": "server_vad"}
NULLS = {"threshold": None, "prefix_padding_ms": None, "silence_duration_ms": None}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (False, None),
        (None, None),
        (SERVER, SERVER | NULLS),
        ({"threshold": 1}, SERVER | NULLS | {"threshold": 1}),
        (SERVER | NULLS, SERVER | NULLS),
        (
            SERVER | {"threshold": 0, "prefix_padding_ms": 250.0, "silence_duration_ms": 300},
            SERVER | {"threshold": 0, "prefix_padding_ms": 250, "silence_duration_ms": 300},
        ),
        (SERVER | {"create_response": True, "eagerness": None}, SERVER | NULLS),
        ({"type": "semantic_vad"}, {"type": "semantic_vad", "eagerness": "auto"}),
        *(
            (
                {"type": "semantic_vad", "eagerness": word},
                {"type": "semantic_vad", "eagerness": word},
            )
            for word in ("low", "medium", "high", "auto")
        ),
    ],
)
async def test_every_form_of_turn_detection_is_kept(
    api: httpx.AsyncClient, given: Any, kept: Any
) -> None:
    for config in (
        {"turn_detection": given},
        {"audio": {"input": {"turn_detection": given}}},
    ):
        call = await native(api, await schedule(api, custom_llm_config=config))
        assert call["llm_model"]["turn_detection"] == kept


@pytest.mark.parametrize(
    "config",
    [
        {
            "voice": "ash",
            "speed": 1.2,
            "input_audio_noise_reduction": {"type": "far_field"},
            "max_response_output_tokens": 400,
            "temperature": 0.8,
            "modalities": ["text", "audio"],
        },
        {
            "type": "realtime",
            "audio": {
                "input": {
                    "noise_reduction": {"type": "far_field"},
                    "format": {"type": "audio/pcm"},
                },
                "output": {"voice": "ash", "speed": 1.2},
            },
            "max_output_tokens": 400,
        },
    ],
)
async def test_both_shapes_of_openais_settings_are_kept(
    api: httpx.AsyncClient, config: dict[str, Any]
) -> None:
    model = (await native(api, await schedule(api, custom_llm_config=config)))["llm_model"]
    assert (model["realtime_voice_id"], model["speed"]) == ("ash", 1.2)
    assert (model["noise_reduction"], model["max_output_tokens"]) == ("far_field", 400)
    plain = (await native(api, await schedule(api, custom_llm_config=None)))["llm_model"]
    assert (plain["speed"], plain["noise_reduction"], plain["max_output_tokens"]) == (1, None, None)


async def test_what_the_document_does_not_name_is_ignored(api: httpx.AsyncClient) -> None:
    answer = await schedule(api, colour="blue")
    assert answer.status_code == 200
    query = {"event_id": answer.json()["event_id"], "verbose": "1"}
    assert (await api.get("/v1/call/status", params=query)).status_code == 200


WRONG: list[dict[str, Any]] = [
    *({name: None} for name in PLAIN),
    *({name: []} for name in PLAIN),
    {"who_to_call": "+1234567890"},
    {"who_to_call": "x" * 101},
    {"when": "soon"},
    {"when": True},
    {"when": 0.5},
    {"when": 1_714_070_400_000},
    {"model": ""},
    {"instructions": "x" * 100_001},
    {"instructions": "\0"},
    {"custom_llm_config": "alloy"},
    {"custom_llm_config": {"voice": ""}},
    {"custom_llm_config": {"speed": 9}},
    {"custom_llm_config": {"max_output_tokens": 0}},
    *(
        {"custom_llm_config": {"turn_detection": given}}
        for given in (
            True,
            "server_vad",
            {"type": "our_vad"},
            {"threshold": 1.1},
            {"threshold": -0.1},
            {"prefix_padding_ms": -1},
            {"silence_duration_ms": 10_001},
            {"type": "semantic_vad", "eagerness": "keen"},
        )
    ),
]


@pytest.mark.parametrize("fields", WRONG, ids=str)
async def test_a_wrong_value_is_told_in_the_documents_shape(
    api: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    answer = await schedule(api, **fields)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    assert set(told) == {"event_id", "status", "error"}
    assert (told["event_id"], told["status"]) == (None, "error_scheduling")
    [name] = fields
    named = {"who_to_call": ("who_to_call", "phone_number")}.get(name, (name, "text"))
    assert any(each in told["error"] for each in named), told


@pytest.mark.parametrize("name", PLAIN)
async def test_a_missing_field_is_named(api: httpx.AsyncClient, name: str) -> None:
    body = {key: value for key, value in PLAIN.items() if key != name}
    answer = await api.post("/v1/call/schedule", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == f"{name} is missing; add it"


BODIES = [b"", b"{", b"[]", b"null", b"3", b'{"who_to_call": "\xff"}', b"[" * 5_000, b"x" * 300_000]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("schedule", {"event_id": None, "status": "error_scheduling"}),
        ("cancel", {"success": False}),
    ],
)
async def test_a_malformed_body_is_told_in_the_endpoints_shape(
    api: httpx.AsyncClient, path: str, shape: dict[str, Any], body: bytes
) -> None:
    answer = await api.post(f"/v1/call/{path}", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {**shape, "error": answer.json()["error"]}


@pytest.mark.parametrize("event_id", [NOBODY, "x", "", "../../etc", "🙂"])
async def test_an_unknown_call_is_not_found(api: httpx.AsyncClient, event_id: str) -> None:
    query = {"event_id": event_id}
    for answer, shape in (
        (await api.post("/v1/call/cancel", json=query), {"success": False}),
        (await api.get("/v1/call/status", params=query), {"status": "error"}),
        (
            await api.get("/v1/call/transcript", params=query),
            {"status": "error", "transcript": ""},
        ),
    ):
        assert answer.status_code == 404, answer.text
        assert answer.json() == {**shape, "error": answer.json()["error"]}


@pytest.mark.parametrize("path", ["/call/status", "/call/transcript"])
async def test_the_id_has_to_be_given(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"/v1{path}")
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert "event_id" in answer.json()["error"]


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("name", sorted(ENDPOINTS))
async def test_nobody_gets_in_without_a_key(api: httpx.AsyncClient, name: str, mount: str) -> None:
    method, path = name.split()
    for key in ("Bearer no", "Basic no", ""):
        headers = {"Authorization": key}
        answer = await api.request(method, f"{mount}{path}", headers=headers)
        assert answer.status_code == 401, answer.text
        assert set(answer.json()) <= {*ENDPOINTS[name]["response"], "error"}


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_no_other_way_has_a_status_that_the_document_lacks(
    api: httpx.AsyncClient, method: str, mount: str
) -> None:
    paths = [name.split()[1] for name in ENDPOINTS]
    for path in (*paths, "/call", "/call/", "/call/nothing", "/call/status/x"):
        answer = await api.request(method, f"{mount}{path}")
        assert answer.status_code in FACTS["statuses"], (path, answer.status_code)
        if method != "HEAD":
            assert "error" in answer.json(), path
