"""Browser sessions over the API: asked for, shown, listed, followed, ended."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from livekit.api import AccessToken
from sqlalchemy import func, select, update

from control_plane.app import Resources
from control_plane.db.models.organization import Organization
from control_plane.db.models.recording import Recording
from control_plane.db.models.session import Session
from control_plane.domain.brief import Direction
from control_plane.domain.transitions import AgentSent
from control_plane.keys.tokens import Scope
from control_plane.sessions import leases, lifecycle
from control_plane.webhooks import outbox
from tests import arrivals, call_rows
from tests.arrivals import FakeCallRooms, job_token
from tests.control_plane.test_call_api import place

pytestmark = pytest.mark.db

INLINE = {"assistant": {"prompt": "Hi."}}
ANSWERED = {"type": "call_answered"}
SAID = {"type": "item_said", "role": "user", "content": "Hi"}
ENDED = {"type": "call_ended", "ended_by": "user", "end_reason": None, "result": "human"}
LEFT = {"type": "agent_left"}


async def start(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Return the answer to a request for a session."""
    answer = await api.post("/session", json={**INLINE, **fields})
    assert answer.status_code == 201, answer.text
    started: dict[str, Any] = answer.json()
    return started


async def session_of(api: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    """Return a session as it is shown."""
    answer = await api.get(f"/session/{session_id}")
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["session"]
    return found


async def send_agent(resources: Resources, session_id: str) -> int:
    """Have an agent sent to the session, as the scheduler does; return its epoch."""
    async with resources.database.transaction() as db:
        _, call = await leases.lock(db, session_id, epoch=None)
        call.session.epoch += 1
        await lifecycle.apply(db, call, AgentSent(at=datetime.now(UTC)))
        return call.session.epoch


async def brief_of(
    internal: httpx.AsyncClient, resources: Resources, session_id: str
) -> dict[str, Any]:
    """Send an agent and return the brief that it takes."""
    epoch = await send_agent(resources, session_id)
    token = resources.signer.issue(Scope.BRIEF, session_id, epoch=epoch, ttl=timedelta(minutes=1))
    taken = await internal.get("/internal/brief", headers={"Authorization": f"Bearer {token}"})
    assert taken.is_success, taken.text
    brief: dict[str, Any] = taken.json()
    return brief


async def report(internal: httpx.AsyncClient, brief: dict[str, Any], *events: Any) -> None:
    """Report what the agent saw, from its first event on."""
    numbered = [{"seq": n, "at": 1.0, **event} for n, event in enumerate(events, 1)]
    answer = await internal.post(
        f"/internal/sessions/{brief['session_id']}/events",
        json={"epoch": brief["epoch"], "events": numbered},
        headers={"Authorization": f"Bearer {brief['token']}"},
    )
    assert answer.is_success, answer.text


def claims(token: str, **options: Any) -> dict[str, Any]:
    """Return what a token says, which LiveKit's key has signed."""
    told: dict[str, Any] = jwt.decode(
        token, arrivals.SECRET, algorithms=["HS256"], issuer=arrivals.KEY, **options
    )
    return told


async def test_the_token_opens_one_room_for_one_person_and_says_nothing_else(
    api: httpx.AsyncClient,
) -> None:
    before = datetime.now(UTC)
    started = await start(api, prompt_variables={"name": "Ann"}, metadata={"cart": "secret"})
    session, said = started["session"], claims(started["token"])
    assert session == await session_of(api, session["id"])
    assert started["livekit_url"] == "ws://127.0.0.1:1"
    assert (session["status"], session["scheduled_at"]) == ("created", None)
    assert said == {
        "iss": arrivals.KEY,
        "sub": f"browser-{session['id']}",
        "kind": "standard",
        "nbf": said["nbf"],
        "exp": said["exp"],
        "video": {
            "roomJoin": True,
            "room": f"web-{session['id']}",
            "canSubscribe": True,
            "canPublish": True,
            "canPublishSources": ["microphone"],
            "canPublishData": True,
            "canUpdateOwnMetadata": False,
        },
        "roomConfig": {"departureTimeout": 60},
    }
    assert int(before.timestamp()) <= said["nbf"] <= datetime.now(UTC).timestamp()
    # LiveKit forgives a minute.
    assert said["exp"] - said["nbf"] == 9 * 60
    expires = datetime.fromisoformat(session["token_expires_at"])
    assert expires - datetime.fromisoformat(session["created_at"]) == timedelta(minutes=10)


async def test_a_later_session_opens_then(api: httpx.AsyncClient, resources: Resources) -> None:
    then = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    started = await start(api, scheduled_at=then.isoformat())
    said = claims(started["token"], options={"verify_nbf": False})
    assert (said["nbf"], said["exp"]) == (then.timestamp(), then.timestamp() + 9 * 60)
    with pytest.raises(jwt.ImmatureSignatureError):
        claims(started["token"])
    assert datetime.fromisoformat(started["session"]["scheduled_at"]) == then
    async with resources.database.reading() as db:
        row = await db.get_one(Session, started["session"]["id"])
    assert row.due_at == then
    past = await start(api, scheduled_at="2020-01-01T00:00:00Z")
    assert past["session"]["scheduled_at"] is None
    claims(past["token"])


async def test_what_the_session_says_stands_for_what_its_assistant_says(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    own = (await start(api, max_duration_secs=33, recording=False))["session"]
    assert (own["max_duration_secs"], own["recording"]) == (33, False)
    assistant = {"prompt": "Hi.", "max_call_duration_secs": 44, "recording_enabled": False}
    its = (await start(api, assistant=assistant))["session"]
    assert (its["max_duration_secs"], its["recording"]) == (44, False)
    on = (await start(api, assistant=assistant, recording=True))["session"]
    async with resources.database.reading() as db:
        recorded = set(await db.scalars(select(Recording.session_id)))
    assert recorded == {on["id"]}
    brief = await brief_of(internal, resources, own["id"])
    spec = brief["assistant"]
    assert (spec["max_call_duration_secs"], spec["recording_enabled"]) == (33, False)


@pytest.mark.parametrize(("given", "told"), [(None, 0), (400, 400), (0, 0), (700, 700)])
async def test_the_first_sentence_comes_at_once_unless_the_assistant_waits(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    resources: Resources,
    given: int | None,
    told: int,
) -> None:
    started = await start(api, assistant={"prompt": "Hi.", "first_sentence_delay_ms": given})
    brief = await brief_of(internal, resources, started["session"]["id"])
    assert brief["assistant"]["first_sentence_delay_ms"] == told
    assert (brief["direction"], brief["answer_timeout_secs"]) == ("browser", 30.0)
    assert (brief["to_phone_number"], brief["from_phone_number"]) == ("", "")
    assert brief["participant_identity"] == f"browser-{started['session']['id']}"


async def test_a_variable_without_a_value_is_told_and_left_out(api: httpx.AsyncClient) -> None:
    assistant = {"prompt": "Say {{name}} and {{name}} of {{town}}."}
    started = await start(api, assistant=assistant, prompt_variables={"town": "Rome"})
    assert [notice.split()[0] for notice in started["notices"]] == ["{{name}}"]
    events = (await api.get(f"/session/{started['session']['id']}/events")).json()["events"]
    assert events[0]["type"] == "session.created"
    assert events[0]["data"]["without_value"] == ["name"]


async def test_a_session_from_asking_to_its_end(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    session_id = (await start(api))["session"]["id"]
    brief = await brief_of(internal, resources, session_id)
    assert (await session_of(api, session_id))["status"] == "waiting"
    await report(internal, brief, {"type": "agent_ready"}, ANSWERED, SAID)
    live = await session_of(api, session_id)
    assert (live["status"], live["started_at"] is not None) == ("in_progress", True)
    events = [{"type": "agent_ready"}, ANSWERED, SAID, ENDED]
    await report(internal, brief, *events)
    over = await session_of(api, session_id)
    assert (over["status"], over["ended_by"], over["end_reason"]) == ("completed", "user", None)
    said = (await api.get(f"/session/{session_id}/transcript")).json()["transcript"]
    assert (
        [item["content"] for item in said]
        == ["Hi"]
        == [item["content"] for item in over["transcript"]]
    )
    history = (await api.get(f"/session/{session_id}/events")).json()["events"]
    assert [event["sequence"] for event in history] == list(range(1, len(history) + 1))
    assert [event["type"] for event in history if event["type"].startswith("session.")] == [
        "session.created", "session.waiting", "session.in_progress", "session.completed",
    ]  # fmt: skip
    feed = (await api.get("/webhook/events", params={"types": "session.*"})).json()["events"]
    assert [event["type"] for event in feed] == [
        "session.created", "session.waiting", "session.in_progress", "session.completed",
    ]  # fmt: skip
    refused = await api.post(f"/session/{session_id}/end")
    assert (refused.status_code, "already completed" in refused.json()["detail"]) == (409, True)


async def test_its_history_is_followed_to_its_end(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    session_id = (await start(api))["session"]["id"]

    async def follow() -> list[dict[str, Any]]:
        answer = await api.get(
            f"/session/{session_id}/events", headers={"Accept": "text/event-stream"}
        )
        lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    following = asyncio.create_task(follow())
    brief = await brief_of(internal, resources, session_id)
    await report(internal, brief, ANSWERED, SAID, ENDED)
    async with asyncio.timeout(10):
        seen = await following
    assert seen == (await api.get(f"/session/{session_id}/events")).json()["events"]
    assert seen[-1]["type"] == "session.completed"


async def test_sessions_are_listed_newest_first_narrowed_and_paged(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    made = await api.post("/assistant", json={"name": "Ann", "prompt": "Hi."})
    assistant_id = made.json()["assistant"]["id"]
    first = (await start(api, metadata={"city": "Rome"}))["session"]["id"]
    call = (await place(api))["id"]
    second = (await start(api, assistant_id=assistant_id))["session"]["id"]
    third = (await start(api))["session"]["id"]
    assert (await api.post(f"/session/{third}/end")).status_code == 202

    async def listed(**query: Any) -> list[str]:
        answer = await api.get("/session", params=query)
        assert answer.is_success, answer.text
        return [each["id"] for each in answer.json()["sessions"]]

    assert await listed() == [third, second, first]
    assert await listed(status="created") == [second, first]
    assert await listed(status=["cancelled", "failed"]) == [third]
    assert await listed(status="in_progress") == []
    assert await listed(assistant_id=assistant_id) == [second]
    assert await listed(metadata="city:Rome") == [first]
    assert await listed(created_before="2020-01-01T00:00:00Z") == []
    assert await listed(created_after="2020-01-01T00:00:00Z") == [third, second, first]
    page = (await api.get("/session", params={"limit": 2})).json()
    rest = (await api.get("/session", params={"cursor": page["next_cursor"]})).json()
    assert [each["id"] for each in page["sessions"]] == [third, second]
    assert ([each["id"] for each in rest["sessions"]], rest["next_cursor"]) == ([first], None)
    calls = (await api.get("/call")).json()["calls"]
    assert [each["id"] for each in calls] == [call]
    assert (await api.get(f"/call/{first}")).status_code == 404
    assert (await api.get(f"/session/{call}")).status_code == 404
    refused = await api.get("/call", params={"direction": "browser"})
    assert (refused.status_code, refused.json()["field"]) == (422, "direction")


async def test_calls_are_no_browser_sessions(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    resources: Resources,
    call_rooms: FakeCallRooms,
) -> None:
    await arrivals.applied(resources.database)
    call_rooms.ring("inbound_a")
    brief = (await internal.post("/internal/inbound", headers=job_token("inbound_a"))).json()
    path = f"/session/{brief['session_id']}"
    for answer in (
        await api.get(path),
        await api.get(f"{path}/events"),
        await api.get(f"{path}/transcript"),
        await api.post(f"{path}/end"),
    ):
        assert answer.status_code == 404, answer.text
    assert (await api.get("/session")).json()["sessions"] == []
    assert (await api.get(f"/call/{brief['session_id']}")).json()["call"]["status"] == "calling"


async def test_it_is_ended_at_once_before_anybody_spoke(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    session_id = (await start(api))["session"]["id"]
    brief = await brief_of(internal, resources, session_id)
    await report(internal, brief, {"type": "agent_ready"})
    for _ in range(2):
        ended = await api.post(f"/session/{session_id}/end")
        assert ended.status_code == 202
        shown = ended.json()["session"]
        assert (shown["status"], shown["end_reason"]) == ("cancelled", "cancelled")
    late = {"type": "call_ended", "ended_by": "system", "end_reason": None, "result": "unknown"}
    await report(internal, brief, {"type": "agent_ready"}, late)
    history = (await api.get(f"/session/{session_id}/events")).json()["events"]
    finals = [event["type"] for event in history if event["type"].startswith("session.")]
    assert finals == ["session.created", "session.waiting", "session.cancelled"]
    async with resources.database.reading() as db:
        row = await call_rows.get(db, session_id)
    assert (row.call.session.due_at, row.call.session.closed_at is not None) == (None, True)


async def test_while_they_talk_its_end_is_noted_and_told_by_who_closes_the_room(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    session_id = (await start(api))["session"]["id"]
    brief = await brief_of(internal, resources, session_id)
    await report(internal, brief, ANSWERED)
    ended = (await api.post(f"/session/{session_id}/end")).json()["session"]
    assert ended["status"] == "in_progress"
    closed = {"type": "call_ended", "ended_by": "system", "end_reason": None, "result": "human"}
    await report(internal, brief, ANSWERED, closed)
    over = await session_of(api, session_id)
    assert (over["status"], over["end_reason"]) == ("completed", "cancelled")


async def test_an_agent_that_nobody_came_to_leaves_the_session_open(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    session_id = (await start(api))["session"]["id"]
    first = await brief_of(internal, resources, session_id)
    used = {"capability": "llm", "provider": "openai", "model": "gpt-4.1", "input_tokens": 10}
    counted = {"type": "usage_counted", "parts": [used]}
    await report(internal, first, {"type": "agent_ready"}, counted, LEFT)
    assert (await session_of(api, session_id))["status"] == "waiting"
    async with resources.database.reading() as db:
        row = await db.get_one(Session, session_id)
    assert (row.closed_at, row.call_lease_until) == (None, None)
    assert row.agent_ended_at is not None


@pytest.mark.parametrize(
    ("fields", "status", "field", "said"),
    [
        ({"assistant_id": "nonsense"}, 404, "assistant_id", "no assistant"),
        ({"assistant_id": "01890000-0000-7000-8000-000000000000"}, 404, "assistant_id", "GET"),
        ({"assistant": {"prompt": "", "a": 1}}, 422, "assistant.a", ""),
        ({"max_duration_secs": 9}, 422, "max_duration_secs", ""),
        ({"webhook_url": "ftp://example.com"}, 422, "webhook_url", "http"),
        ({"webhook_url": "https://example.com/?api_key=abcdef0123456789"}, 422, "webhook_url", ""),
        ({"scheduled_at": "2026-01-01T00:00:00"}, 422, "scheduled_at", ""),
        ({"scheduled_at": "9999-12-31T23:59:59-12:00"}, 422, "scheduled_at", ""),
        ({"scheduled_at": "2099-01-01T00:00:00Z"}, 422, "scheduled_at", "366 days"),
        ({"phone_number": "+12025550123"}, 422, "phone_number", ""),
    ],
)
async def test_what_cannot_be_asked_for(
    api: httpx.AsyncClient,
    resources: Resources,
    fields: dict[str, Any],
    status: int,
    field: str,
    said: str,
) -> None:
    refused = await api.post("/session", json={**INLINE, **fields})
    assert (refused.status_code, refused.json().get("field")) == (status, field), refused.text
    assert said in refused.json()["detail"]
    async with resources.database.reading() as db:
        assert await db.scalar(select(func.count()).select_from(Session)) == 0


async def test_a_suspended_organization_starts_none(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    async with resources.database.transaction() as db:
        await db.execute(update(Organization).values(suspended_at=datetime.now(UTC)))
    refused = await api.post("/session", json=INLINE)
    assert (refused.status_code, "suspended" in refused.json()["detail"]) == (409, True)


async def test_an_assistant_without_its_providers_key_is_told_at_once(
    api: httpx.AsyncClient,
) -> None:
    voice = {"provider": "cartesia", "id": "a"}
    refused = await api.post("/session", json={"assistant": {"prompt": "Hi.", "voice": voice}})
    assert refused.status_code == 409, refused.text
    assert "offhook provider set cartesia" in refused.json()["detail"]


async def test_it_counts_for_its_key_and_the_keys_cap_holds(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    made = (await api.post("/keys", json={"name": "k", "calls_per_day": 1})).json()
    mine = {"Authorization": f"Bearer {made['key']}"}
    answer = await api.post("/session", json=INLINE, headers=mine)
    session_id = answer.json()["session"]["id"]
    assert (await api.post("/session", json=INLINE, headers=mine)).status_code == 201
    brief = await brief_of(internal, resources, session_id)
    await report(internal, brief, ANSWERED)
    refused = await api.post("/session", json=INLINE, headers=mine)
    assert (refused.status_code, "cap" in refused.json()["detail"]) == (409, True)
    assert (await api.post("/session", json=INLINE)).status_code == 201


async def test_no_token_of_a_person_takes_a_call(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, call_rooms: FakeCallRooms
) -> None:
    token = (await start(api))["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await internal.post("/internal/inbound", headers=headers)).status_code == 403
    assert (await internal.get("/internal/brief", headers=headers)).status_code == 401


async def test_its_receivers_are_told(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    """Each event to its own URL, and the whole session, once over, to that of its assistant."""
    own, its = "https://example.com/own", "https://example.com/assistant"
    assistant = {"prompt": "Hi.", "webhook_url": its, "recording_enabled": False}
    started = await start(api, assistant=assistant, webhook_url=own, metadata={"a": "b"})
    session_id = started["session"]["id"]
    brief = await brief_of(internal, resources, session_id)
    await report(internal, brief, ANSWERED, SAID, ENDED)
    async with resources.database.transaction() as db:
        now = datetime.now(UTC)
        relayed = await outbox.relay(db, resources.vault, resources.views, now=now, limit=100)
    assert relayed == 4
    sent = (await api.get("/delivery", params={"call_id": session_id})).json()["deliveries"]
    details = [(await api.get(f"/delivery/{each['id']}")).json() for each in sent]
    by_url: dict[str, list[dict[str, Any]]] = {own: [], its: []}
    for each in reversed(details):
        by_url[each["delivery"]["url"]].append(json.loads(each["payload"]))
    assert [each["type"] for each in by_url[own]] == [
        "session.created", "session.waiting", "session.in_progress", "session.completed",
    ]  # fmt: skip
    assert {each["data"]["metadata"]["a"] for each in by_url[own]} == {"b"}
    [whole] = by_url[its]
    assert whole["session"]["status"] == "completed"
    assert [item["content"] for item in whole["session"]["transcript"]] == ["Hi"]
    assert whole["session"] == await session_of(api, session_id)


async def test_a_scheduled_session_is_no_live_one(
    api: httpx.AsyncClient, internal: httpx.AsyncClient, resources: Resources
) -> None:
    await start(api, scheduled_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())

    async def live() -> str:
        lines = (await internal.get("/metrics")).text.splitlines()
        [line] = [each for each in lines if each.startswith("offhook_live_attempts ")]
        return line.split()[1]

    assert await live() == "0.0"
    await brief_of(internal, resources, (await start(api))["session"]["id"])
    assert await live() == "1.0"
    async with resources.database.reading() as db:
        kinds = set(await db.scalars(select(Session.direction)))
    assert kinds == {Direction.BROWSER}


@pytest.mark.parametrize(
    ("event", "room", "wakes"),
    [
        ("participant_joined", "web-1", True),
        ("participant_joined", "call-1", False),
        ("participant_left", "call-1", True),
        ("track_published", "web-1", False),
    ],
)
async def test_livekits_hint_that_somebody_came_wakes_who_sends_agents(
    api: httpx.AsyncClient, resources: Resources, event: str, room: str, wakes: bool
) -> None:
    body = json.dumps({"event": event, "room": {"name": room}})
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    signed = AccessToken(arrivals.KEY, arrivals.SECRET).with_sha256(digest).to_jwt()
    changes, heard = resources.database.changes, resources.database.changes.count
    answer = await api.post(
        "/livekit/webhook",
        content=body,
        headers={"Authorization": signed, "Content-Type": "application/webhook+json"},
    )
    assert answer.status_code == 200, answer.text
    assert await changes.wait(since=heard, timeout_s=5.0 if wakes else 0.2) is wakes


async def test_the_same_request_again_starts_no_second_session(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    wanted = {"assistant": {"prompt": "Hi {{name}}."}}
    headers = {"Idempotency-Key": "one"}
    first, *others = await asyncio.gather(
        *(api.post("/session", json=wanted, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in (first, *others)} == {201}
    assert len({answer.json()["session"]["id"] for answer in (first, *others)}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in (first, *others)]
    assert sorted(replayed, key=str) == [None, *["true"] * 4]
    for answer in (first, *others):
        told = answer.json()
        assert told["notices"] == ["{{name}} has no value in prompt_variables: it is left out"]
        grants = jwt.decode(told["token"], options={"verify_signature": False})
        assert grants["video"]["room"] == f"web-{told['session']['id']}"
    async with resources.database.reading() as db:
        assert await db.scalar(select(func.count()).select_from(Session)) == 1


async def test_a_key_that_came_with_another_request_starts_nothing(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    headers = {"Idempotency-Key": "one"}
    refused = await api.post("/session", json={"assistant_id": "nobody"}, headers=headers)
    assert refused.status_code == 404  # what was refused is not kept
    assert (await api.post("/session", json=INLINE, headers=headers)).status_code == 201
    other = {**INLINE, "metadata": {"a": "b"}}
    answer = await api.post("/session", json=other, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    async with resources.database.reading() as db:
        assert await db.scalar(select(func.count()).select_from(Session)) == 1
