"""Calls that came in over the API: listed beside orders, shown, explained and ended like them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from control_plane.app import Resources
from tests import arrivals, factories
from tests.arrivals import FakeCallRooms, job_token
from tests.control_plane.test_call_api import place

pytestmark = pytest.mark.db

CALLER = "+12025550111"


@pytest.fixture
async def rings(
    internal: httpx.AsyncClient, resources: Resources, call_rooms: FakeCallRooms
) -> Any:
    """What lets a call come in, and returns the brief of the agent that answers it."""
    await arrivals.applied(resources.database)

    async def ring(room: str = "inbound_a") -> dict[str, Any]:
        call_rooms.ring(room, calling_number=CALLER)
        answer = await internal.post("/internal/inbound", headers=job_token(room))
        brief: dict[str, Any] = answer.json()
        return brief

    return ring


async def report(internal: httpx.AsyncClient, brief: dict[str, Any], *events: Any) -> None:
    """Report what the agent saw."""
    answer = await internal.post(
        f"/internal/sessions/{brief['session_id']}/events",
        json={"epoch": brief["epoch"], "events": [{"at": 1.0, **event} for event in events]},
        headers={"Authorization": f"Bearer {brief['token']}"},
    )
    assert answer.is_success, answer.text


ANSWERED = {"seq": 1, "type": "call_answered", "sip_call_id": "SCL_2"}
SAID = {"seq": 2, "type": "item_said", "role": "user", "content": "Hi"}
ENDED = {"seq": 3, "type": "call_ended", "ended_by": "user", "end_reason": None, "result": "human"}


async def listed(api: httpx.AsyncClient, **query: Any) -> list[str]:
    """Return the ids of a page."""
    answer = await api.get("/call", params=query)
    assert answer.is_success, answer.text
    return [call["id"] for call in answer.json()["calls"]]


async def test_it_is_listed_beside_orders_newest_first_and_paged(
    api: httpx.AsyncClient, rings: Any
) -> None:
    first = (await place(api))["id"]
    second = (await rings("inbound_1"))["session_id"]
    third = (await place(api))["id"]
    fourth = (await rings("inbound_2"))["session_id"]
    assert await listed(api) == [fourth, third, second, first]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = (await api.get("/call", params={"limit": 1, **cursor})).json()
        seen += [call["id"] for call in page["calls"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (seen, cursor) == ([fourth, third, second, first], {"cursor": None})
    assert await listed(api, direction="inbound") == [fourth, second]
    assert await listed(api, direction="outbound") == [third, first]
    assert await listed(api, number=CALLER) == [fourth, second]
    assert await listed(api, number=factories.NUMBER) == [third, first]
    assert await listed(api, status="calling") == [fourth, second]
    assert await listed(api, status="completed") == []
    assert await listed(api, direction="inbound", status="errored") == []
    assert await listed(api, direction="inbound", metadata="a:b") == []
    assert await listed(api, direction="inbound", created_before="2020-01-01T00:00:00Z") == []


async def test_it_is_shown_with_its_history_once_it_is_over(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    call_id = brief["session_id"]
    await report(internal, brief, ANSWERED, SAID, ENDED)
    call = (await api.get(f"/call/{call_id}")).json()["call"]
    assert (call["id"], call["direction"], call["status"]) == (call_id, "inbound", "completed")
    assert (call["from_phone_number"], call["calls_count"]) == (CALLER, 1)
    assert (call["is_completed"], call["is_cancelled"], call["paused"]) == (True, False, False)
    attempt = call["last_call_attempt"]
    assert (attempt["id"], attempt["result"], attempt["counted"]) == (call_id, "human", True)
    assert [item["content"] for item in attempt["transcript"]] == ["Hi"]
    events = (await api.get(f"/call/{call_id}/events")).json()["events"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if kind.startswith("call.")] == [
        "call.ringing", "call.in_progress", "call.completed",
    ]  # fmt: skip
    assert {event["attempt_id"] for event in events} == {call_id}
    told = (await api.get(f"/call/{call_id}/explain")).json()
    assert (told["call_id"], told["status"]) == (call_id, "completed")
    assert told["now"]["detail"] == "the call came in"
    assert [step["decision"] for step in told["decisions"]][-1] == "call.completed"
    feed = (await api.get("/webhook/events")).json()["events"]
    assert {event["data"]["call_id"] for event in feed} == {call_id}


async def test_one_that_is_passed_on_is_told_of(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    call_id = brief["session_id"]
    passed = {"to_phone_number": "+12025550142", "reason": "wants a person"}
    began = {"type": "transfer_began", "seq": 2, "at": 1.0, **passed}
    failed = {
        "type": "transfer_failed", "seq": 3, "at": 1.0, "to_phone_number": "+12025550142",
        "why": "refused", "sip_status": 486, "detail": "Busy Here",
    }  # fmt: skip
    done = {"type": "call_transferred", "seq": 4, "at": 1.0, **passed}
    ended = {**ENDED, "seq": 5, "ended_by": "agent", "end_reason": "transfer"}
    await report(internal, brief, ANSWERED, began, failed, done, ended)
    call = (await api.get(f"/call/{call_id}")).json()["call"]
    assert call["last_call_attempt"]["end_reason"] == "transfer"
    events = (await api.get(f"/call/{call_id}/events")).json()["events"]
    kinds = [event["type"] for event in events if event["type"].startswith("call.")]
    assert kinds == ["call.ringing", "call.in_progress", "call.transferred", "call.completed"]
    feed = (await api.get("/webhook/events")).json()["events"]
    (told,) = [event["data"] for event in feed if event["type"] == "call.transferred"]
    assert passed.items() <= told.items()
    assert told["status"] == "calling"
    steps = (await api.get(f"/call/{call_id}/explain")).json()["decisions"]
    (step,) = [each for each in steps if each["decision"] == "transfer_failed"]
    assert step["reason"] == "refused 486 Busy Here"


async def test_it_can_be_ended_and_not_held_back(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    path = f"/call/{brief['session_id']}"
    for what in ("pause", "resume"):
        refused = await api.post(f"{path}/{what}")
        assert (refused.status_code, "came in" in refused.json()["detail"]) == (409, True)
    for _ in range(2):
        ended = await api.post(f"{path}/cancel")
        assert (ended.status_code, ended.json()["call"]["cancel_requested"]) == (202, True)
    assert ended.json()["call"]["status"] == "calling"
    await report(internal, brief, ANSWERED, SAID, ENDED)
    call = (await api.get(path)).json()["call"]
    assert (call["status"], call["is_cancelled"]) == ("cancelled", True)
    assert await listed(api, status="cancelled") == [brief["session_id"]]
    kinds = [event["type"] for event in (await api.get(f"{path}/events")).json()["events"]]
    assert (kinds.count("cancel_requested"), kinds[-1]) == (1, "call.cancelled")
    assert (await api.post(f"{path}/cancel")).status_code == 202


async def test_one_that_is_over_cannot_be_ended(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    await report(internal, brief, ANSWERED, SAID, ENDED)
    refused = await api.post(f"/call/{brief['session_id']}/cancel")
    assert refused.status_code == 409
    assert "already completed" in refused.json()["detail"]


async def test_its_events_are_followed_until_it_is_over(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    await report(internal, brief, ANSWERED, SAID, ENDED)
    headers = {"Accept": "text/event-stream"}
    followed = await api.get(f"/call/{brief['session_id']}/events", headers=headers)
    kinds = [line[7:] for line in followed.text.splitlines() if line.startswith("event: ")]
    assert (kinds[0], kinds[-1]) == ("call.ringing", "call.completed")


async def test_it_is_a_session_of_the_voice_api(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, rings: Any
) -> None:
    brief = await rings()
    key = brief["session_id"]

    async def sessions(**query: Any) -> list[str]:
        answer = await api.get("/voice-api/voice/sessions", params=query)
        return [each["session_id"] for each in answer.json()["sessions"]]

    await report(internal, brief, ANSWERED, SAID)
    shown = (await api.get(f"/voice-api/voice/sessions/{key}")).json()
    assert (shown["direction"], shown["from_number"]) == ("inbound", CALLER)
    assert shown["status"] == "in_progress"
    assert await sessions(status="in_progress") == await sessions() == [key]
    assert await sessions(status="completed") == await sessions(status="failed") == []
    await report(internal, brief, ENDED)
    assert await sessions(status="completed") == await sessions(agent_id=shown["agent_id"]) == [key]
    assert await sessions(status="in_progress") == await sessions(status="failed") == []
    told = (await api.get(f"/voice-api/v1/widget/transcript/{key}")).json()
    assert [turn["content"] for turn in told["transcript"]] == ["Hi"]
