"""The dial outbound document, field by field, from its own reference (`dial_outbound.json`)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from msgspec import Struct, inspect

from control_plane.dialects.dial_outbound.schemas import Dial, Dialled
from tests.contract.seeds.facts import NUMBER, OURS, Node, differences

pytestmark = [pytest.mark.db, pytest.mark.asyncio(loop_scope="module")]

FACTS: Node = json.loads(Path(__file__).with_name("dial_outbound.json").read_text())
REQUEST: Node = FACTS["request"]
MOUNTS = ["/dial-outbound", ""]
LATER = "2099-01-01T10:00:00Z"
GPT = {"type": "dedicated-instance", "name": "gpt-4.1"}
CARTESIA = {"id": "v1", "provider": "cartesia", "speed": 1.0, "volume": 1.0}
GERMAN = {
    "language": "de-DE",
    "llm_model": GPT,
    "voice": CARTESIA,
    "stt": {"provider": "openai"},
}


class Desk(Struct):
    """What calls may name, by the dialect's ids."""

    api: httpx.AsyncClient
    number: str
    ids: dict[str, dict[str, str]]

    async def made(self, path: str, **body: Any) -> str:
        """Return the id of something new, as the native API writes it."""
        answer = await self.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        found = answer.json()
        return str((found.get("assistant") or found.get("campaign") or found)["id"])

    async def named(self, kind: str, name: str) -> str:
        """Return the 24 characters of what has this name."""
        listed = (await self.api.get("/dial/ids")).json()[kind]
        return next(str(each["id"]) for each in listed if each["name"] == name)

    async def use_case(self, name: str, **fields: Any) -> str:
        """Return the id of a new use case."""
        await self.made("/assistant", name=name, **{"prompt": "Be kind.", **fields})
        return await self.named("use_cases", name)

    async def preset(self, kind: str, name: str, **fields: Any) -> str:
        """Return the id of a new agent, model or prompt."""
        await self.made("/preset", kind=kind, name=name, **fields)
        plural = {"voice": "agents", "model": "models", "prompt": "prompts"}[kind]
        return await self.named(plural, name)

    async def dial(self, mount: str = "", **fields: Any) -> httpx.Response:
        """Return the answer to a call with these fields."""
        body = {"number_id": self.number, "phone_number": NUMBER, **fields}
        return await self.api.post(f"{mount}/dial/outbound", json=body)

    async def call(self, **fields: Any) -> dict[str, Any]:
        """Return the call that was placed, as the native API shows it."""
        answer = await self.dial(**fields)
        assert answer.status_code == 200, answer.text
        listed = await self.api.get("/call", params={"limit": 1})
        [shown] = listed.json()["calls"]
        assert datetime.fromisoformat(shown["created_at"]) == datetime.fromisoformat(
            answer.json()["created"]
        )
        return dict(shown)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(api: httpx.AsyncClient) -> AsyncIterator[Desk]:
    made = Desk(api, "", {})
    made.number = await made.named("numbers", OURS)
    yield made


async def refused(answer: httpx.Response, status: int, field: str | None) -> None:
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert set(told) == {"error", "message", "field"}
    assert told["field"] == field, told
    assert answer.headers["content-type"] == "application/json"


def types(facts: Node) -> Node:
    """Return the fields whose type the comparison knows."""
    known = {name: each for name, each in facts.items() if each["type"] not in ("time", "unknown")}
    return {"type": "object", "fields": known}


async def test_every_field_has_its_type_and_words() -> None:
    for kind, facts in ((Dial, REQUEST), (Dialled, FACTS["response"])):
        fields = {each.name: each for each in inspect.type_info(kind).fields}  # type: ignore[attr-defined]
        assert set(fields) == set(facts)
        assert list(differences(types(facts), inspect.type_info(kind), kind.__name__)) == []
        if kind is Dial:
            required = {name for name, each in facts.items() if each.get("required")}
            assert required == {name for name, each in fields.items() if each.required}


@pytest.mark.parametrize("mount", MOUNTS)
async def test_the_answer_has_the_documents_fields(desk: Desk, mount: str) -> None:
    given = {"metadata": {"a": "b", "n": 1}, "params": {"name": "Ann"}}
    answer = await desk.dial(mount, **given)
    told = answer.json()
    assert set(told) == set(FACTS["response"])
    assert {name: told[name] for name in given} == given
    assert (len(told["id"]), len(told["organization_id"])) == (24, 24)
    assert told["use_case"]["max_duration_mins"] == FACTS["default_duration_mins"]
    [call] = (await desk.api.get("/call", params={"limit": 1})).json()["calls"]
    assert call["assistant"]["name"] == told["use_case"]["name"]
    assert call["from_phone_number"] == OURS
    assert (call["force_now"], call["scheduled_at"]) == (True, None)
    assert call["metadata"] == {"a": "b", "n": "1"}


async def test_the_use_case_speaks(desk: Desk) -> None:
    use_case = await desk.use_case("taxi", prompt="You drive.")
    call = await desk.call(use_case_id=use_case)
    assert (call["assistant"]["name"], call["assistant"]["prompt"]) == ("taxi", "You drive.")
    for name in (use_case, call["assistant"]["id"]):  # deprecated, in either way of writing
        again = await desk.call(assistant_id=name)
        assert again["assistant"]["id"] == call["assistant"]["id"]
    other = await desk.use_case("bus")
    assert (await desk.call(use_case_id=other, assistant_id=use_case))["assistant"]["name"] == "bus"


@pytest.mark.parametrize("language", REQUEST["language"]["enum"])
async def test_every_language_reaches_the_call(desk: Desk, language: str) -> None:
    use_case = await desk.use_case(f"speaks {language}", **GERMAN)
    call = await desk.call(use_case_id=use_case, language=language)
    assert call["assistant"]["language"] == language
    assert (await desk.call(use_case_id=use_case))["assistant"]["language"] == "de-DE"
    stored = await desk.api.get(f"/assistant/{call['assistant']['id']}")
    assert stored.json()["assistant"]["language"] == "de-DE"


async def test_a_language_that_the_use_case_cannot_speak_is_refused(desk: Desk) -> None:
    use_case = await desk.use_case("English only")
    await refused(await desk.dial(use_case_id=use_case, language="de-DE"), 422, "llm_model")


async def test_agent_model_and_prompt_stand_for_the_use_cases(desk: Desk) -> None:
    use_case = await desk.use_case("plain", voice=CARTESIA, llm_model=GPT)
    agent = await desk.preset("voice", "eleven", voice={"id": "v2", "provider": "elevenlabs"})
    model = await desk.preset(
        "model", "rapid", model={"type": "dedicated-instance", "name": "ministral-3-8b-instruct"}
    )
    prompt = await desk.preset("prompt", "short", prompt="Hello {{name}}.")
    call = await desk.call(
        use_case_id=use_case,
        agent_id=agent,
        voice_id="cartesia:v9",  # deprecated: the new ones win
        model_id=model,
        model="gpt-4.1",
        prompt_id=prompt,
        params={"name": "Ann"},
    )
    speaker = call["assistant"]
    assert (speaker["voice"]["id"], speaker["voice"]["provider"]) == ("v2", "elevenlabs")
    assert speaker["llm_model"]["name"] == "ministral-3-8b-instruct"
    assert (speaker["prompt"], speaker["name"]) == ("Hello {{name}}.", "plain")
    plain = (await desk.call(use_case_id=use_case))["assistant"]
    assert (plain["voice"], plain["llm_model"], plain["prompt"]) == (CARTESIA, GPT, "Be kind.")
    assert plain["id"] == speaker["id"]


async def test_the_embedded_voice_can_be_an_agent(desk: Desk) -> None:
    use_case = await desk.use_case("cloudy", voice=CARTESIA, llm_model=GPT)
    agent = await desk.preset("voice", "embedded", voice=None)
    assert (await desk.call(use_case_id=use_case, agent_id=agent))["assistant"]["voice"] is None


async def test_the_deprecated_names_still_work(desk: Desk) -> None:
    use_case = await desk.use_case("old", voice=CARTESIA)
    call = await desk.call(use_case_id=use_case, voice_id="v7", model="gpt-4.1")
    assert call["assistant"]["voice"] == {**CARTESIA, "id": "v7"}
    assert call["assistant"]["llm_model"] == GPT
    other = await desk.call(voice_id="elevenlabs:v8", model="mistralai/mistral-small")
    assert other["assistant"]["voice"]["provider"] == "elevenlabs"
    assert other["assistant"]["llm_model"]["openrouter_model_id"] == "mistralai/mistral-small"
    await refused(await desk.dial(voice_id="v7"), 422, "voice_id")
    await refused(await desk.dial(model="gpt-9"), 422, "model")


async def test_another_model_of_the_use_cases_own_service(desk: Desk) -> None:
    realtime = {"type": "realtime", "provider": "openai", "realtime_model_id": "a"}
    custom = {"type": "custom", "api_url": "https://example.com/v1", "model_name": "a"}
    for name, model, member in (
        ("hears", realtime, "realtime_model_id"),
        ("own", {**custom, "api_key": "sk-0123456789abcdef"}, "model_name"),
        (
            "router",
            {"type": "openrouter", "openrouter_model_id": "a", "openrouter_provider": ""},
            "openrouter_model_id",
        ),
    ):
        use_case = await desk.use_case(name, llm_model=model)
        call = await desk.call(use_case_id=use_case, model="b")
        assert call["assistant"]["llm_model"][member] == "b"


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"a": {"b": "deep"}}, "a.b", "deep"),
        ({"a": {"b": {"c": 1}}}, "a.b", '{"c":1}'),
        ({"a": [{"b": True}]}, "a.0.b", "true"),
        ({"a.b": "flat", "a": {"b": "deep"}}, "a.b", "flat"),
        ({"a": None}, "a", ""),
        ({"a": 2.5}, "a", "2.5"),
        ({"a": ["x", "y"]}, "a", '["x","y"]'),
        ({"current_date": "today"}, "current_date", "today"),
        (["x", "y"], "params.1", "y"),
        ("text", "params", "text"),
        (7, "params", "7"),
    ],
)
async def test_params_of_any_form_reach_the_prompt(
    desk: Desk, params: Any, name: str, value: str
) -> None:
    prompt = await desk.preset("prompt", f"{name} {value}", prompt=f"Say {{{{ {name} }}}}.")
    call = await desk.call(prompt_id=prompt, params=params)
    assert call["prompt_variables"][name] == value


@pytest.mark.parametrize("params", [None, {}, {"a": {}}, {"a": {"b": {}}}, [], "a.b.c", 0, False])
async def test_a_variable_without_a_value_is_named(desk: Desk, params: Any) -> None:
    prompt = await desk.preset("prompt", f"lacks {params}", prompt="Say {{a.b.c}}.")
    answer = await desk.dial(prompt_id=prompt, params=params)
    await refused(answer, 422, "params.a.b.c")
    assert "prompt_variables" not in answer.text


@pytest.mark.parametrize("params", [None, {}, [], "text", 7, 2.5, True, {"a": [None, {"b": 1}]}])
async def test_params_are_any_json(desk: Desk, params: Any) -> None:
    answer = await desk.dial(params=params)
    assert (answer.status_code, answer.json()["params"]) == (200, params)


async def test_a_later_instant_is_waited_for_and_a_past_one_is_now(desk: Desk) -> None:
    for written in (LATER, "2099-01-01T10:00:00", "2099-01-01T11:00:00+01:00"):
        call = await desk.call(scheduled_for=written)
        at = datetime.fromisoformat(call["scheduled_at"])
        assert (at, call["force_now"]) == (datetime.fromisoformat(LATER), False)
    call = await desk.call(scheduled_for="2001-01-01T10:00:00Z")
    assert (call["scheduled_at"], call["force_now"]) == (None, True)


async def test_the_longest_duration_is_the_calls_then_the_use_cases(desk: Desk) -> None:
    use_case = await desk.use_case("brief", max_call_duration_secs=90)
    for minutes, seconds, told in ((None, 90, 1.5), (1, 60, 1), (1_440, 86_400, 1_440)):
        answer = await desk.dial(use_case_id=use_case, max_duration_mins=minutes)
        assert answer.json()["use_case"]["max_duration_mins"] == told
        [call] = (await desk.api.get("/call", params={"limit": 1})).json()["calls"]
        assert call["assistant"]["max_call_duration_secs"] == seconds


async def test_a_call_belongs_to_the_campaign_that_it_names(desk: Desk) -> None:
    default = await desk.named("use_cases", "Bright Smile Dental")
    speaker = (await desk.call(use_case_id=default))["assistant"]["id"]
    made = await desk.made("/campaign", name="c", assistant_id=speaker, max_concurrent_calls=2)
    await desk.api.post(f"/campaign/{made}/rows", json={"rows": [{"phone_number": NUMBER}]})
    assert (await desk.api.post(f"/campaign/{made}/launch")).status_code == 200
    campaign = await desk.named("campaigns", "c")
    call = await desk.call(campaign_id=campaign)
    assert call["campaign"]["id"] == made
    assert call["concurrency"] == {"key": f"campaign:{made}", "max": 2}
    assert (await desk.api.post(f"/campaign/{made}/cancel")).status_code == 202
    await refused(await desk.dial(campaign_id=campaign), 409, "campaign_id")


WRONG: list[tuple[dict[str, Any], int, str | None]] = [
    *(({name: 3}, 422, name) for name in REQUEST if REQUEST[name]["type"] != "unknown"
      and name != "max_duration_mins"),
    *(({name: "x" * size}, 422, name) for name in REQUEST if "length" in REQUEST[name]
      for size in (23, 25, 36)),
    *(({name: "x" * 24}, 404, name) for name in REQUEST if "length" in REQUEST[name]),
    ({"prompt_id": "pr-nothing"}, 404, "prompt_id"),
    ({"campaign_id": "nothing"}, 404, "campaign_id"),
    ({"assistant_id": "nothing"}, 404, "assistant_id"),
    ({"phone_number": "+1234567890"}, 422, "phone_number"),
    ({"phone_number": None}, 422, "phone_number"),
    ({"number_id": None}, 422, "number_id"),
    ({"language": "nl-NL"}, 422, "language"),
    ({"metadata": "a"}, 422, "metadata"),
    ({"scheduled_for": "soon"}, 422, "scheduled_for"),
    ({"max_duration_mins": 0}, 422, "max_duration_mins"),
    ({"max_duration_mins": 1_441}, 422, "max_duration_mins"),
    ({"max_duration_mins": "1"}, 422, "max_duration_mins"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "field"), WRONG, ids=str)
async def test_a_wrong_value_is_told_with_its_field(
    desk: Desk, fields: dict[str, Any], status: int, field: str | None
) -> None:
    await refused(await desk.dial(**fields), status, field)


async def test_an_id_of_something_else_is_not_taken(desk: Desk) -> None:
    use_case = await desk.use_case("mixed up")
    for field in ("number_id", "agent_id", "model_id", "prompt_id", "campaign_id"):
        await refused(await desk.dial(**{field: use_case}), 404, field)
    await refused(await desk.dial(use_case_id=desk.number), 404, "use_case_id")


@pytest.mark.parametrize("name", ["number_id", "phone_number"])
async def test_what_is_required_is_named(desk: Desk, name: str) -> None:
    body = {"number_id": desk.number, "phone_number": NUMBER}
    del body[name]
    await refused(await desk.api.post("/dial/outbound", json=body), 422, name)


@pytest.mark.parametrize("body", [b"", b"{", b'{"params": ' + b"[" * 5_000])
async def test_a_malformed_body_is_told_in_the_dialects_shape(desk: Desk, body: bytes) -> None:
    await refused(await desk.api.post("/dial/outbound", content=body), 400, None)


async def test_what_the_document_does_not_name_is_ignored(desk: Desk) -> None:
    assert (await desk.dial(colour="blue")).status_code == 200


@pytest.mark.parametrize("mount", MOUNTS)
async def test_nobody_gets_in_without_a_key(desk: Desk, mount: str) -> None:
    for method, path in (("POST", "outbound"), ("GET", "ids")):
        answer = await desk.api.request(
            method, f"{mount}/dial/{path}", headers={"Authorization": "Bearer no"}
        )
        await refused(answer, 401, None)
