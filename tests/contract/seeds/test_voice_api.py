"""The Voice API document, from its own fields, words and limits."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from msgspec import Struct, inspect

from control_plane.app import Resources
from control_plane.dialects.voice import controller
from control_plane.dialects.voice.controller import VoiceApiController
from control_plane.dialects.voice.schemas import EVENTS, Dial
from control_plane.domain.ids import new_id
from control_plane.http.buckets import Buckets
from tests.contract.seeds.facts import NUMBER, OURS, Node, differences
from tests.served import served

pytestmark = [pytest.mark.db, pytest.mark.asyncio(loop_scope="module")]

FACTS: Node = json.loads(Path(__file__).with_name("voice_api.json").read_text())
REQUEST: Node = FACTS["dial"]["request"]
MOUNTS = ["/voice-api", ""]
LATER = "2099-01-01T10:00:00Z"
NOBODY = new_id()


class Desk(Struct):
    """The API, and an agent to call with; nobody's requests of before count."""

    api: httpx.AsyncClient
    resources: Resources
    agent: str

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Return the answer, as the first of a minute."""
        forget(self.resources.buckets)
        return await self.api.request(method, path, **how)

    async def dial(self, mount: str = "", **fields: Any) -> httpx.Response:
        """Return the answer to a call with these fields."""
        body = {"agent_id": self.agent, "to_number": NUMBER, "from_number": OURS, **fields}
        return await self.ask("POST", f"{mount}/voice/outbound/dial", json=body)

    async def call(self, **fields: Any) -> dict[str, Any]:
        """Return the call that was placed, as the native API shows it."""
        answer = await self.dial(**fields)
        assert answer.status_code == 200, answer.text
        shown = await self.api.get(f"/call/{answer.json()['session_id']}")
        return dict(shown.json()["call"])


def forget(buckets: Buckets) -> None:
    """Forget who asked how often."""
    buckets._buckets.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with served(tmp_path_factory.mktemp("data")) as running:
        body = {"name": "Ann", "prompt": "Greet {{who}}.", "max_call_duration_secs": 90}
        made = await running.client.post("/assistant", json=body)
        agent = made.json()["assistant"]["id"]
        plain = await running.client.post("/assistant", json={"name": "B", "prompt": "Hi."})
        assert plain.status_code == 201
        yield Desk(running.client, running.resources, agent)


CONTEXT = {"who": "Ann"}


async def refused(answer: httpx.Response, status: int, field: str | None) -> None:
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert set(told) == {"error", "detail", "field"}
    assert told["field"] == field, told


async def test_every_field_and_word_of_the_document_is_known() -> None:
    fields = {each.name: each for each in inspect.type_info(Dial).fields}  # type: ignore[attr-defined]
    assert set(fields) == set(REQUEST)
    known = {name: each for name, each in REQUEST.items() if each["type"] != "time"}
    told: Node = {"type": "object", "fields": known}
    assert list(differences(told, inspect.type_info(Dial), "dial")) == []
    required = {name for name, each in REQUEST.items() if each.get("required")}
    assert required == {name for name, each in fields.items() if each.required}
    assert set(EVENTS) == set(FACTS["events"])
    limits = (controller.START, controller.SESSION, controller.STATUS, controller.LIST)
    assert dict(limits) == FACTS["per_minute"]


async def test_every_endpoint_has_its_limit(desk: Desk) -> None:
    found = {}
    for handler in VoiceApiController(owner=None).get_route_handlers():  # type: ignore[arg-type]
        for path in handler.paths:
            name = f"{next(iter(handler.http_methods))} {path.replace(':str', '')}"  # type: ignore[attr-defined]
            found[name] = handler.opt["per_minute"][0]
    assert found == FACTS["endpoints"]


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_call_is_dialled_followed_and_ended(desk: Desk, mount: str) -> None:
    answer = await desk.dial(mount, context=CONTEXT, scheduled_at=LATER)
    told = answer.json()
    assert (answer.status_code, told["status"]) == (200, "scheduled")
    session_id = told["session_id"]
    status = await desk.ask("GET", f"{mount}/voice/status/{session_id}")
    assert status.json() == told
    shown = (await desk.ask("GET", f"{mount}/voice/sessions/{session_id}")).json()
    assert (shown["agent_id"], shown["to_number"], shown["from_number"]) == (
        desk.agent, NUMBER, OURS,
    )  # fmt: skip
    assert (shown["context"], shown["direction"]) == (CONTEXT, "outbound")
    assert (shown["recording_id"], shown["duration"]) == (None, None)
    listed = (await desk.ask("GET", f"{mount}/voice/sessions")).json()
    assert listed["sessions"][0] == shown
    transcript = await desk.ask("GET", f"{mount}/v1/widget/transcript/{session_id}")
    assert transcript.json() == {
        "session_id": session_id, "status": "scheduled", "transcript": [],
    }  # fmt: skip
    for _ in range(2):
        ended = await desk.ask("POST", f"{mount}/voice/end/{session_id}")
        assert (ended.status_code, ended.json()["status"]) == (200, "failed")


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_session_in_a_browser_is_started_followed_and_ended(desk: Desk, mount: str) -> None:
    body = {"agent_id": desk.agent, "context": CONTEXT, "recording": False}
    answer = await desk.ask("POST", f"{mount}{FACTS['start']['path']}", json=body)
    assert answer.status_code == 200, answer.text
    started = answer.json()
    assert list(started) == FACTS["start"]["answer"]
    assert started["livekit_url"].startswith("ws")
    session_id = started["session_id"]
    native = (await desk.api.get(f"/session/{session_id}")).json()["session"]
    assert (native["max_duration_secs"], native["recording"]) == (600, False)
    assert native["prompt_variables"] == CONTEXT
    claims = jwt.decode(started["token"], options={"verify_signature": False})
    assert claims["video"]["room"].endswith(session_id)
    status = await desk.ask("GET", f"{mount}/voice/status/{session_id}")
    assert status.json() == {"session_id": session_id, "status": "initiating"}
    shown = (await desk.ask("GET", f"{mount}/voice/sessions/{session_id}")).json()
    assert (shown["direction"], shown["agent_id"]) == ("browser", desk.agent)
    assert (shown["from_number"], shown["to_number"], shown["recording_id"]) == (None, None, None)
    listed = (await desk.ask("GET", f"{mount}/voice/sessions")).json()
    assert listed["sessions"][0] == shown
    transcript = await desk.ask("GET", f"{mount}/v1/widget/transcript/{session_id}")
    assert transcript.json()["transcript"] == []
    for _ in range(2):
        ended = await desk.ask("POST", f"{mount}/voice/end/{session_id}")
        assert (ended.status_code, ended.json()["status"]) == (200, "failed")
    over = (await desk.ask("GET", f"{mount}/voice/sessions?status=failed")).json()["sessions"]
    assert over[0]["session_id"] == session_id


async def test_a_session_needs_an_agent_that_is_there(desk: Desk) -> None:
    async def start(**fields: Any) -> httpx.Response:
        return await desk.ask("POST", "/voice/start", json=fields)

    await refused(await start(), 422, "agent_id")
    await refused(await start(agent_id=NOBODY), 404, "agent_id")
    await refused(await start(agent_id=desk.agent, max_duration=5), 422, "max_duration")


async def test_the_call_is_as_it_was_asked_for(desk: Desk) -> None:
    call = await desk.call(context=CONTEXT)
    assert call["assistant"]["max_call_duration_secs"] == REQUEST["max_duration"]["default"]
    assert call["assistant"]["recording_enabled"] is True
    assert call["call_retry_config"]["max_retry_attempts"] == 1
    assert (call["status"], call["waiting_for"]) == ("queued_for_calling", None)
    call = await desk.call(context=CONTEXT, max_duration=45, recording=False)
    assert call["assistant"]["max_call_duration_secs"] == 45
    assert call["assistant"]["recording_enabled"] is False
    for written in (LATER, LATER[:-1], "2099-01-01T11:00:00+01:00"):
        call = await desk.call(context=CONTEXT, scheduled_at=written)
        at = datetime.fromisoformat(call["scheduled_at"])
        assert at == datetime.fromisoformat(LATER)


async def test_context_reaches_the_prompt_from_any_depth(desk: Desk) -> None:
    body = {"name": "deep", "prompt": "Greet {{person.name}}."}
    agent = (await desk.api.post("/assistant", json=body)).json()["assistant"]["id"]
    call = await desk.call(agent_id=agent, context={"person": {"name": "Ann"}})
    assert call["prompt_variables"]["person.name"] == "Ann"
    await refused(await desk.dial(agent_id=agent), 422, "context.person.name")


WRONG: list[tuple[dict[str, Any], int, str]] = [
    *(({name: []}, 422, name) for name in REQUEST),
    *(({name: None}, 422, name) for name in REQUEST if REQUEST[name].get("required")),
    ({"agent_id": NOBODY}, 404, "agent_id"),
    ({"agent_id": "x"}, 404, "agent_id"),
    ({"to_number": "+1234567890"}, 422, "to_number"),
    ({"from_number": "+12025550150"}, 422, "from_number"),
    ({"from_number": "x"}, 422, "from_number"),
    ({"context": {}}, 422, "context.who"),
    ({"max_duration": 9}, 422, "max_duration"),
    ({"max_duration": 86_401}, 422, "max_duration"),
    ({"scheduled_at": "soon"}, 422, "scheduled_at"),
    ({"webhook_url": "ftp://x"}, 422, "webhook_url"),
    ({"webhook_url": "https://user:secret@example.com"}, 422, "webhook_url"),
]


@pytest.mark.parametrize(("fields", "status", "field"), WRONG, ids=str)
async def test_a_wrong_value_is_told_with_its_field(
    desk: Desk, fields: dict[str, Any], status: int, field: str
) -> None:
    await refused(await desk.dial(**{"context": CONTEXT, **fields}), status, field)


@pytest.mark.parametrize("body", [b"", b"{", b'{"colour": ' + b"[" * 5_000])
async def test_a_malformed_body_is_told_in_the_dialects_shape(desk: Desk, body: bytes) -> None:
    await refused(await desk.ask("POST", "/voice/outbound/dial", content=body), 400, None)


@pytest.mark.parametrize("key", [NOBODY, "x"])
async def test_what_is_not_there_is_not_found(desk: Desk, key: str) -> None:
    for name in FACTS["endpoints"]:
        method, path = name.split()
        if "{" in path:
            field = path.partition("{")[2].rstrip("}")
            path = path.replace(f"{{{field}}}", key)
            await refused(await desk.ask(method, path), 404, field)


async def test_a_list_is_paged_and_filtered(desk: Desk) -> None:
    body = {"name": "listed", "prompt": "Hi."}
    agent = (await desk.api.post("/assistant", json=body)).json()["assistant"]["id"]
    made = [(await desk.call(agent_id=agent))["id"] for _ in range(3)][::-1]

    async def ids(**query: Any) -> list[str]:
        answer = await desk.ask("GET", "/voice/sessions", params={"agent_id": agent, **query})
        assert answer.status_code == 200, answer.text
        return [each["session_id"] for each in answer.json()["sessions"]]

    assert await ids() == made
    assert await ids(limit=2) == made[:2]
    assert await ids(limit=2, offset=2) == made[2:]
    assert await ids(offset=3) == []
    assert await ids(start_date="2020-01-01", end_date="2099-01-01T00:00:00Z") == made
    assert await ids(end_date="2020-01-01") == await ids(start_date="2099-01-01") == []
    for status in FACTS["list"]["statuses"]:
        assert await ids(status=status) == []
    await desk.ask("POST", f"/voice/end/{made[0]}")
    assert await ids(status="failed") == made[:1]
    answer = await desk.ask("GET", "/voice/sessions")
    assert answer.json()["limit"] == FACTS["list"]["limit"]["default"]
    assert (await desk.ask("GET", "/voice/sessions?limit=100")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "101"}, 422, "limit"),
        ({"limit": "x"}, 422, "limit"),
        ({"offset": "-1"}, 422, "offset"),
        ({"status": "ringing"}, 422, "status"),
        ({"start_date": "soon"}, 422, "start_date"),
        ({"end_date": "0001-01-01T00:00:00+14:00"}, 422, "end_date"),
        ({"agent_id": "x"}, 404, "agent_id"),
    ],
)
async def test_a_wrong_filter_is_told(
    desk: Desk, query: dict[str, str], status: int, field: str
) -> None:
    await refused(await desk.ask("GET", "/voice/sessions", params=query), status, field)


@pytest.mark.parametrize("name", sorted(FACTS["endpoints"]))
async def test_a_key_may_ask_so_often_a_minute(desk: Desk, name: str) -> None:
    method, path = name.split()
    path = path.replace("{session_id}", NOBODY).replace("{recording_id}", NOBODY)
    most = FACTS["per_minute"][FACTS["endpoints"][name]]
    forget(desk.resources.buckets)
    began, taken = time.monotonic(), 0
    while (late := await desk.api.request(method, path)).status_code != 429:
        taken += 1
    more = (time.monotonic() - began) * most / 60  # as many were given back meanwhile
    assert most <= taken <= most + more
    await refused(late, 429, None)
    assert 1 <= int(late.headers["retry-after"]) <= 60 // most + 1
    assert (await desk.api.get("/call")).status_code == 200  # the native API is not limited by it


async def test_nobody_gets_in_without_a_key(desk: Desk) -> None:
    for name in FACTS["endpoints"]:
        method, path = name.split()
        answer = await desk.api.request(method, path, headers={"Authorization": "Bearer no"})
        await refused(answer, 401, None)
