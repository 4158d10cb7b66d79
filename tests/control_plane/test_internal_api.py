"""Briefs, inbound calls, events and recordings: one use, fenced, idempotent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from control_plane.app import Resources
from control_plane.domain.ids import new_id
from control_plane.domain.recording import RecordingKind
from control_plane.domain.transitions import DialStarted
from control_plane.keys.tokens import Scope
from control_plane.orders import lifecycle
from control_plane.sessions import leases
from scheduler.claim import claim
from tests import arrivals
from tests.arrivals import FakeCallRooms, job_token
from tests.call_rows import CallRow
from tests.factories import ago, reload_attempt, reload_recording

pytestmark = pytest.mark.db

TTL = timedelta(minutes=1)
Post = Callable[..., Awaitable[httpx.Response]]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def attempt(api: httpx.AsyncClient, resources: Resources) -> CallRow:
    """An attempt on its way, as the scheduler makes it."""
    await api.put("/provider/openai", json={"api_key": "sk-0123456789abcdef"})
    await api.put("/provider/mistral", json={"api_key": "not for this call"})
    body = {
        "phone_number": "+12025550123",
        "assistant": {
            "prompt": "Be kind, {{name}}.",
            "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
        },
        "prompt_variables": {"name": "Ann"},
        "force_now": True,
    }
    assert (await api.post("/call", json=body)).status_code == 200
    [made] = await claim(resources.database, limit=1)
    return CallRow(made)


@pytest.fixture
def session_token(resources: Resources, attempt: CallRow) -> dict[str, str]:
    token = resources.signer.issue(Scope.SESSION, attempt.id, epoch=attempt.epoch, ttl=TTL)
    return bearer(token)


@pytest.fixture
def post(internal: httpx.AsyncClient, attempt: CallRow, session_token: dict[str, str]) -> Post:
    """Report events of the attempt, as its agent does."""

    async def report(*events: dict[str, Any]) -> httpx.Response:
        body = {"epoch": attempt.epoch, "events": list(events)}
        path = f"/internal/sessions/{attempt.id}/events"
        return await internal.post(path, json=body, headers=session_token)

    return report


def event(seq: int, kind: str = "agent_alive", **facts: Any) -> dict[str, Any]:
    return {"type": kind, "seq": seq, "at": 1_700_000_000.0 + seq, **facts}


async def test_a_brief_is_whole_and_opens_once(
    internal: httpx.AsyncClient, resources: Resources, attempt: CallRow
) -> None:
    token = resources.signer.issue(Scope.BRIEF, attempt.id, epoch=attempt.epoch, ttl=TTL)
    answer = await internal.get("/internal/brief", headers=bearer(token))
    brief = answer.json()
    assert answer.status_code == 200, answer.text
    assert brief["session_id"] == attempt.id
    assert brief["room_name"] == f"call-{attempt.id}"
    assert brief["assistant"]["prompt"] == "Be kind, {{name}}."
    assert brief["prompt_variables"] == {"name": "Ann"}
    assert brief["providers"] == {"openai": {"api_key": "sk-0123456789abcdef", "api_url": None}}
    again = await internal.get("/internal/brief", headers=bearer(token))
    assert again.status_code == 409
    assert again.json()["code"] == "token_used"


async def test_a_suspended_organization_gets_no_brief_and_loses_none(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    post: Post,
    suspend: Callable[[], Awaitable[str]],
) -> None:
    token = resources.signer.issue(Scope.BRIEF, attempt.id, epoch=attempt.epoch, ttl=TTL)
    remedy = await suspend()
    refused = await internal.get("/internal/brief", headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    told = await post(event(1))  # a call that is live ends as it is
    assert told.status_code == 200, told.text
    owner = remedy.rstrip("`").split()[-1]
    assert (await api.post(f"/organizations/{owner}/resume")).status_code == 200
    assert (await internal.get("/internal/brief", headers=bearer(token))).status_code == 200


async def test_tokens_are_checked(
    internal: httpx.AsyncClient, resources: Resources, attempt: CallRow
) -> None:
    signer = resources.signer
    expired = signer.issue(Scope.BRIEF, attempt.id, epoch=1, ttl=timedelta(seconds=-1))
    wrong_scope = signer.issue(Scope.SESSION, attempt.id, epoch=1, ttl=TTL)
    for token in (expired, wrong_scope, "forged", ""):
        answer = await internal.get("/internal/brief", headers=bearer(token))
        assert answer.status_code == 401
    stale = signer.issue(Scope.BRIEF, attempt.id, epoch=attempt.epoch - 1, ttl=TTL)
    answer = await internal.get("/internal/brief", headers=bearer(stale))
    assert answer.json()["code"] == "stale_epoch"


async def test_events_are_stored_once_and_in_order(
    api: httpx.AsyncClient, attempt: CallRow, post: Post
) -> None:
    said = event(2, "item_said", role="assistant", content="Hello")
    assert (await post(event(1, "agent_ready"), said)).json() == {"through": 2}
    assert (await post(said, event(3))).json() == {"through": 3}
    gap = await post(event(5))
    assert gap.status_code == 409
    listed = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    [item] = listed["last_call_attempt"]["transcript"]
    assert (item["role"], item["content"]) == ("assistant", "Hello")


async def test_what_is_said_wakes_who_reads_and_nobody_who_works(
    resources: Resources, post: Post
) -> None:
    work, history = resources.database.changes, resources.database.history
    for sent, wakes in (
        (event(1, "agent_ready"), True),
        (event(2, "item_said", role="assistant", content="Hello"), False),
        (event(3, "recording_finished", size_bytes=1, duration_ms=1, sha256="0" * 64), True),
    ):
        heard, read = work.count, history.count
        (await post(sent)).raise_for_status()
        assert await history.wait(since=read, timeout_s=5)
        assert (work.count != heard) is wakes


async def test_events_are_fenced(
    internal: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    session_token: dict[str, str],
) -> None:
    path = f"/internal/sessions/{attempt.id}/events"
    old = {"epoch": attempt.epoch - 1, "events": [event(1)]}
    assert (await internal.post(path, json=old, headers=session_token)).status_code == 409
    other = {"epoch": 1, "events": [event(1)]}
    answer = await internal.post(
        f"/internal/sessions/{new_id()}/events", json=other, headers=session_token
    )
    assert answer.status_code == 403
    assert (await reload_attempt(resources.database, attempt.id)).last_event_seq == 0


async def test_a_call_from_answer_to_end(
    api: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    post: Post,
) -> None:
    async with resources.database.transaction() as session:
        order, row = await leases.lock(session, attempt.id, epoch=attempt.epoch)
        await lifecycle.apply(session, order, row, DialStarted(at=ago(seconds=1)))
    answer = await post(
        event(1, "agent_ready"),
        event(2, "call_answered", sip_call_id="SCL_1"),
        event(3, "call_ended", ended_by="user", end_reason=None, result="human"),
    )
    assert answer.json() == {"through": 3}
    call = (await api.get(f"/call/{attempt.order_id}")).json()["call"]
    last = call["last_call_attempt"]
    assert (call["status"], call["calls_count"]) == ("completed", 1)
    assert (last["status"], last["ended_by"], last["end_reason"]) == ("completed", "user", None)
    late = event(4, "recording_finished", size_bytes=3, duration_ms=5, sha256="ab")
    assert (await post(late)).json() == {"through": 4}


async def test_who_answered_is_shown_and_a_voicemail_is_told_once(
    api: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    post: Post,
) -> None:
    async with resources.database.transaction() as session:
        order, row = await leases.lock(session, attempt.id, epoch=attempt.epoch)
        await lifecycle.apply(session, order, row, DialStarted(at=ago(seconds=1)))
    told = {"result": "human", "engine": "timing", "evidence": "spoke for 1.2 s", "after_s": 1.9}
    found = {"result": "voicemail", "engine": "words", "evidence": "“tone”", "after_s": 6.25}
    ended = {"ended_by": "agent", "end_reason": "voicemail", "result": "voicemail"}
    sent = [
        event(1, "agent_ready"),
        event(2, "call_answered"),
        event(3, "answer_detected", **told),
        event(4, "answer_detected", **found),
        event(5, "answer_detected", **found | {"evidence": "“beep”"}),
        event(6, "call_ended", **ended),
    ]
    assert (await post(*sent)).json() == {"through": 6}
    last = (await api.get(f"/call/{attempt.order_id}")).json()["call"]["last_call_attempt"]
    assert (last["result"], last["end_reason"]) == ("voicemail", "voicemail")
    assert last["answer"] == {
        "result": "voicemail",
        "engine": "words",
        "evidence": "“beep”",
        "after_secs": 6.25,
    }
    events = (await api.get(f"/call/{attempt.order_id}/events")).json()["events"]
    kinds = [each["type"] for each in events]
    assert kinds.count("call.voicemail") == 1
    steps = (await api.get(f"/call/{attempt.order_id}/explain")).json()["decisions"]
    why = [each["reason"] for each in steps if each["decision"] == "answer_detected"]
    assert why[0] == "human after 1.9 s, by timing: spoke for 1.2 s"


async def test_an_inbound_call_gets_one_session(
    internal: httpx.AsyncClient,
    api: httpx.AsyncClient,
    resources: Resources,
    call_rooms: FakeCallRooms,
) -> None:
    await arrivals.applied(resources.database)
    call_rooms.ring("inbound_+1_abc")
    job = job_token("inbound_+1_abc")
    first = await internal.post("/internal/inbound", headers=job)
    again = await internal.post("/internal/inbound", headers=job)
    assert first.status_code == 200, first.text
    assert first.json()["session_id"] == again.json()["session_id"]
    assert first.json()["assistant"]["name"] == "Bright Smile Dental"
    assert first.json()["direction"] == "inbound"
    [call] = (await api.get("/call")).json()["calls"]
    assert (call["direction"], call["status"]) == ("inbound", "calling")
    session = first.json()
    ended = {
        "epoch": session["epoch"],
        "events": [
            event(1, "agent_ready"),
            event(2, "call_answered"),
            event(3, "call_ended", ended_by="user", end_reason=None, result="human"),
        ],
    }
    await internal.post(
        f"/internal/sessions/{session['session_id']}/events",
        json=ended,
        headers=bearer(session["token"]),
    )
    [call] = (await api.get("/call")).json()["calls"]
    assert call["status"] == "completed"


async def test_a_recording_is_appended_without_gaps_or_doubles(
    internal: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    session_token: dict[str, str],
) -> None:
    path = f"/internal/recordings/{attempt.id}"

    async def append(offset: int, content: bytes) -> httpx.Response:
        return await internal.post(
            path, params={"offset": offset}, content=content, headers=session_token
        )

    assert (await append(0, b"abc")).json() == {"size": 3}
    assert (await append(0, b"abcd")).json() == {"size": 4}
    gap = await append(9, b"x")
    assert (gap.status_code, gap.json()["size"]) == (409, 4)
    assert (await append(4, b"")).status_code == 422
    assert resources.recordings.size(attempt.id) == 4


async def test_the_full_mix_is_a_file_of_its_own(
    internal: httpx.AsyncClient,
    resources: Resources,
    attempt: CallRow,
    session_token: dict[str, str],
    post: Post,
) -> None:
    path = f"/internal/recordings/{attempt.id}"
    for kind, content in (("stereo", b"both sides"), ("mix", b"one")):
        sent = await internal.post(
            path, params={"offset": 0, "kind": kind}, content=content, headers=session_token
        )
        assert sent.json() == {"size": len(content)}
        assert resources.recordings.size(attempt.id, RecordingKind(kind)) == len(content)
    unknown = await internal.post(
        path, params={"offset": 0, "kind": "quad"}, content=b"x", headers=session_token
    )
    assert unknown.status_code == 422
    done = event(
        1, "recording_finished", size_bytes=10, duration_ms=5, sha256="ab", mix_sha256="cd"
    )
    await post(done)
    row = await reload_recording(resources.database, attempt.id)
    assert (row.sha256, row.mix_sha256) == ("ab", "cd")


async def test_metrics_are_internal(internal: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    assert "offhook_call_orders" in (await internal.get("/metrics")).text
    assert (await api.get("/metrics")).status_code == 404
