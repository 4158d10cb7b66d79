"""The Voice API's words for what became of a call, its events and strangers, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.recording import Recording
from control_plane.db.models.webhook import Delivery
from control_plane.dialects.voice.schemas import EVENTS
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.ids import new_id
from control_plane.domain.recording import RecordingState
from control_plane.domain.transitions import (
    ConversationEnded,
    DialAnswered,
    DialFailed,
    DialStarted,
)
from control_plane.orders import lifecycle
from control_plane.sessions import leases
from control_plane.webhooks.outbox import relay
from scheduler.claim import claim
from tests import call_rows, offices
from tests.offices import Office

pytestmark = pytest.mark.db

NUMBER, OURS = "+12025550123", "+12025550199"
HOOK = "https://example.com/voice"
DIALLED: Any = (DialStarted, {})
ANSWERED: Any = (DialAnswered, {})
DIAL = ["call.initiating", "call.ringing"]


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        await made.open_trunk()
        yield made


async def dialled(office: Office, **fields: Any) -> str:
    """Return the id of a new session."""
    agent = (await office.ask("GET", "/assistant"))["assistants"][0]["id"]
    body = {"agent_id": agent, "to_number": NUMBER, "from_number": OURS, **fields}
    told = await office.ask("POST", "/voice/outbound/dial", body)
    return str(told["session_id"])


async def begin(office: Office, order_id: str) -> str:
    """Return the attempt of the call, which is claimed now."""
    await claim(office.database, limit=5)
    async with office.database.reading() as db:
        [row] = await call_rows.find(db, Attempt.order_id == order_id)
    return str(row.id)


async def tell(office: Office, attempt_id: str, *facts: Any) -> None:
    """Let this happen to a call."""
    async with office.database.transaction() as db:
        order, call = await leases.lock(db, attempt_id, epoch=None)
        now = await read_clock(db)
        for kind, fields in facts:
            await lifecycle.apply(db, order, call, kind(at=now, **fields))


def ended(result: AttemptResult, reason: EndReason | None = None) -> Any:
    by = EndedBy.USER if reason is None else EndedBy.SYSTEM
    return ConversationEnded, {"ended_by": by, "end_reason": reason, "result": result}


def failed(sip_status: int) -> Any:
    return DialFailed, {"kind": DialFailureKind.OUTCOME_UNKNOWN, "sip_status": sip_status}


HUMAN = ended(AttemptResult.HUMAN)
ENDS = [
    ((), "initiating", ["call.initiating"]),
    ((DIALLED,), "ringing", DIAL),
    ((DIALLED, ANSWERED), "in_progress", [*DIAL, "call.in_progress"]),
    ((DIALLED, ANSWERED, HUMAN), "completed", [*DIAL, "call.in_progress", "call.completed"]),
    (
        (DIALLED, ANSWERED, ended(AttemptResult.VOICEMAIL)),
        "completed",
        [*DIAL, "call.in_progress", "call.completed"],
    ),
    (
        (DIALLED, ANSWERED, ended(AttemptResult.HUMAN, EndReason.PROVIDER_FAILED)),
        "completed",
        [*DIAL, "call.in_progress", "call.completed"],
    ),
    ((DIALLED, failed(408)), "failed", [*DIAL, "call.no_answer"]),
    ((DIALLED, failed(486)), "failed", None),
    ((DIALLED, failed(404)), "failed", [*DIAL, "call.failed"]),
]


@pytest.mark.parametrize(("facts", "word", "events"), ENDS)
async def test_each_state_has_its_word_its_filter_and_its_events(
    office: Office, facts: Any, word: str, events: list[str] | None
) -> None:
    key = await dialled(office, webhook_url=HOOK)
    await tell(office, await begin(office, key), *facts)
    assert (await office.ask("GET", f"/voice/status/{key}"))["status"] == word
    for status in ("completed", "failed", "in_progress"):
        listed = (await office.ask("GET", f"/voice/sessions?status={status}"))["sessions"]
        assert [each["session_id"] for each in listed] == ([key] if status == word else [])
    told = await deliveries(office)
    assert {row.event_type for row in told} <= set(EVENTS)
    assert [row.event_type for row in told] == events or events is None
    assert {office.vault.open_url(row.url) for row in told} == {HOOK}
    for row in told:
        body = msgspec.json.decode(row.payload)
        assert (body["type"], body["data"]["call_id"]) == (row.event_type, key)
    assert len(await deliveries(office)) == len(told)  # each once


async def deliveries(office: Office) -> list[Delivery]:
    """Return what the outbox has become, in the order of the events."""
    async with office.database.transaction() as db:
        views = office.resources.views
        await relay(db, office.vault, views, now=await read_clock(db), limit=100)
    async with office.database.reading() as db:
        return list(await db.scalars(select(Delivery).order_by(Delivery.sequence)))


async def test_a_call_without_a_url_tells_nobody(office: Office) -> None:
    key = await dialled(office)
    await tell(office, await begin(office, key), DIALLED)
    assert await deliveries(office) == []


async def test_the_assistants_own_url_is_told_besides(office: Office) -> None:
    speaker = {"name": "s", "prompt": "Hi.", "webhook_url": "https://example.com/own"}
    made = await office.ask("POST", "/assistant", speaker, status=201)
    key = await dialled(office, agent_id=made["assistant"]["id"], webhook_url=HOOK)
    attempt = await begin(office, key)
    await tell(office, attempt, DIALLED)
    await deliveries(office)
    await tell(office, attempt, ANSWERED, HUMAN)
    told = await deliveries(office)
    urls = [office.vault.open_url(row.url) for row in told]
    assert sorted(urls) == ["https://example.com/own", *[HOOK] * 4]
    assert told[urls.index("https://example.com/own")].message_id == f"call_{key}"


async def test_transcript_and_recording_are_read(office: Office) -> None:
    key = await dialled(office)
    attempt = await begin(office, key)
    await tell(office, attempt, DIALLED, ANSWERED)
    async with office.database.transaction() as db:
        now = await read_clock(db)
        for number, role in enumerate(("assistant", "user", "tool"), start=100):
            db.add(
                CallEventRow(
                    id=new_id(),
                    call_id=key,
                    session_id=attempt,
                    sequence=number,
                    type="item_said",
                    at=now,
                    stored_at=now,
                    data={"role": role, "content": f"by {role}"},
                )
            )
    await tell(office, attempt, HUMAN)
    told = await office.ask("GET", f"/v1/widget/transcript/{key}")
    said = [(turn["role"], turn["content"]) for turn in told["transcript"]]
    assert (told["status"], said) == (
        "completed", [("assistant", "by assistant"), ("user", "by user")],
    )  # fmt: skip
    shown = await office.ask("GET", f"/voice/sessions/{key}")
    assert shown["recording_id"] == attempt
    recording = await office.ask("GET", f"/voice/recording/{attempt}")
    assert (recording["session_id"], recording["url"]) == (key, None)
    async with office.database.transaction() as db:
        [row] = await db.scalars(select(Recording).where(Recording.session_id == attempt))
        row.state = RecordingState.STORED
    recording = await office.ask("GET", f"/voice/recording/{attempt}")
    assert (recording["status"], recording["duration"]) == ("stored", shown["duration"])
    assert attempt in recording["url"]


async def test_what_is_not_recorded_has_no_recording(office: Office) -> None:
    key = await dialled(office, recording=False)
    attempt = await begin(office, key)
    await tell(office, attempt, DIALLED, ANSWERED, HUMAN)
    assert (await office.ask("GET", f"/voice/sessions/{key}"))["recording_id"] is None
    await office.ask("GET", f"/voice/recording/{attempt}", status=404)


async def test_a_live_session_is_ended(office: Office) -> None:
    key = await dialled(office)
    await tell(office, await begin(office, key), DIALLED, ANSWERED)
    told = await office.ask("POST", f"/voice/end/{key}")
    assert told == {"session_id": key, "status": "in_progress"}  # until its room is closed
    assert (await office.ask("GET", f"/call/{key}"))["call"]["cancel_requested"] is True


async def test_strangers_find_nothing(office: Office) -> None:
    key = await dialled(office)
    attempt = await begin(office, key)
    await tell(office, attempt, DIALLED, ANSWERED, HUMAN)
    stranger = await office.another()
    for method, path in (
        ("GET", f"/voice/status/{key}"),
        ("GET", f"/voice/sessions/{key}"),
        ("GET", f"/v1/widget/transcript/{key}"),
        ("GET", f"/voice/recording/{attempt}"),
        ("POST", f"/voice/end/{key}"),
    ):
        answer = await stranger.request(method, path)
        assert answer.status_code == 404, path
    listed = await stranger.get("/voice/sessions")
    assert listed.json()["sessions"] == []
    agent = (await office.ask("GET", "/assistant"))["assistants"][0]["id"]
    body = {"agent_id": agent, "to_number": NUMBER, "from_number": OURS}
    answer = await stranger.post("/voice/outbound/dial", json=body)
    assert (answer.status_code, answer.json()["field"]) == (404, "agent_id")
    speaker = {"name": "s", "prompt": "Hi."}
    own = await office.ask("POST", "/assistant", speaker, status=201, client=stranger)
    trunk = {"name": "t", "address": "192.0.2.1", "numbers": ["+12025550177"]}
    await office.ask(
        "POST", "/trunk", {"direction": "outbound", **trunk}, status=201, client=stranger
    )
    answer = await stranger.post(
        "/voice/outbound/dial", json={**body, "agent_id": own["assistant"]["id"]}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "from_number")  # another's
