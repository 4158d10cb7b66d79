"""Redial's words for what became of a call, and what it says to strangers, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from control_plane.db.base import read_clock
from control_plane.db.models.attempt import Attempt
from control_plane.db.models.history import CallEventRow
from control_plane.db.models.organization import ApiKey
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.transitions import (
    ConversationEnded,
    DialAnswered,
    DialFailed,
    DialStarted,
    Fact,
)
from control_plane.orders import lifecycle
from control_plane.sessions import leases
from scheduler.claim import claim
from tests import call_rows, offices
from tests.offices import Office

pytestmark = pytest.mark.db

CALL = {
    "who_to_call": "+12025550123",
    "when": 0,
    "model": "gpt-realtime",
    "instructions": "Be kind.",
}
LATER = 4_000_000_000


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        await made.open_trunk()
        await made.ask("PUT", "/provider/openai", {"api_key": "sk-0123456789abcdef"})
        yield made


async def scheduled(office: Office, **fields: Any) -> dict[str, str]:
    """Return the query that names a new call."""
    told = await office.ask("POST", "/v1/call/schedule", {**CALL, **fields})
    return {"event_id": told["event_id"]}


async def status(office: Office, query: dict[str, str]) -> str:
    answer = await office.client.get("/v1/call/status", params=query)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def begin(office: Office, query: dict[str, str]) -> str:
    """Return the session of the call, which is claimed now."""
    await claim(office.database, limit=5)
    async with office.database.reading() as db:
        [row] = await call_rows.find(db, Attempt.order_id == query["event_id"])
    return str(row.id)


async def tell(office: Office, session_id: str, *facts: Any) -> None:
    """Let this happen to a call, each fact at its time."""
    async with office.database.transaction() as db:
        order, call = await leases.lock(db, session_id, epoch=None)
        now = await read_clock(db)
        for kind, fields in facts:
            fact: Fact = kind(at=now, **fields)
            await lifecycle.apply(db, order, call, fact)


def ended(result: AttemptResult, reason: EndReason | None = None) -> Any:
    by = EndedBy.USER if reason is None else EndedBy.SYSTEM
    return ConversationEnded, {"ended_by": by, "end_reason": reason, "result": result}


def failed(sip_status: int) -> Any:
    return DialFailed, {"kind": DialFailureKind.OUTCOME_UNKNOWN, "sip_status": sip_status}


DIALLED = (DialStarted, {})
ANSWERED = (DialAnswered, {})


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ((), "scheduled"),
        ((DIALLED, ANSWERED), "scheduled"),
        ((DIALLED, ANSWERED, ended(AttemptResult.HUMAN)), "completed"),
        ((DIALLED, ANSWERED, ended(AttemptResult.UNKNOWN)), "completed"),
        ((DIALLED, ANSWERED, ended(AttemptResult.VOICEMAIL)), "no_response"),
        ((DIALLED, ANSWERED, ended(AttemptResult.IVR)), "no_response"),
        ((DIALLED, ANSWERED, ended(AttemptResult.IOS_SCREENING_FILTER)), "no_response"),
        ((DIALLED, failed(486)), "no_response"),
        ((DIALLED, failed(408)), "no_response"),
        ((DIALLED, failed(480)), "no_response"),
        ((DIALLED, failed(603)), "no_response"),
        ((DIALLED, failed(404)), "error"),
        (
            (DIALLED, ANSWERED, ended(AttemptResult.HUMAN, EndReason.PROVIDER_FAILED)),
            "error",
        ),
    ],
)
async def test_each_end_of_a_call_has_its_word(office: Office, facts: Any, word: str) -> None:
    query = await scheduled(office)
    session_id = await begin(office, query)
    await tell(office, session_id, *facts)
    assert await status(office, query) == word
    over = word != "scheduled"
    cancelled = await office.ask("POST", "/v1/call/cancel", query)
    assert cancelled["success"] is not over
    if over:
        assert "already" in cancelled["error"]
        assert await status(office, query) == word


async def test_the_transcript_is_one_text(office: Office) -> None:
    query = await scheduled(office)
    session_id = await begin(office, query)
    await tell(office, session_id, DIALLED, ANSWERED)
    said = [
        {"role": "assistant", "content": "Hello, this is Ann."},
        {"role": "user", "content": "Hi: who?"},
        {"role": "tool", "content": "", "tool_name": "end_call"},
        {"role": "assistant", "content": "Ann."},
    ]
    async with office.database.transaction() as db:
        now = await read_clock(db)
        for number, data in enumerate(said, start=100):
            db.add(
                CallEventRow(
                    call_id=query["event_id"],
                    session_id=session_id,
                    sequence=number,
                    type="item_said",
                    at=now,
                    stored_at=now,
                    data=data,
                )
            )
    await tell(office, session_id, ended(AttemptResult.HUMAN))
    told = await office.client.get("/v1/call/transcript", params=query)
    assert told.json() == {
        "status": "completed",
        "transcript": "assistant: Hello, this is Ann.\nuser: Hi: who?\nassistant: Ann.",
    }


async def test_another_organizations_call_is_not_found(office: Office) -> None:
    query = await scheduled(office, when=LATER)
    stranger = await office.another()
    answers = [
        await stranger.post("/v1/call/cancel", json=query),
        await stranger.get("/v1/call/status", params=query),
        await stranger.get("/v1/call/transcript", params=query),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    nobody = {"event_id": query["event_id"][:-4] + "0000"}
    for answer, unknown in zip(
        answers,
        [
            await stranger.post("/v1/call/cancel", json=nobody),
            await stranger.get("/v1/call/status", params=nobody),
            await stranger.get("/v1/call/transcript", params=nobody),
        ],
        strict=True,
    ):
        assert answer.text == unknown.text.replace(nobody["event_id"], query["event_id"])
    assert await status(office, query) == "scheduled"


async def test_who_cannot_call_is_told_so_in_the_answer(office: Office) -> None:
    stranger = await office.another()  # has no trunk
    answer = await stranger.post("/v1/call/schedule", json=CALL)
    refused(answer, "trunk")
    owner = await office.owner()
    clerk = await office.with_key(owner)
    await office.ask("POST", f"/organizations/{owner}/suspend")
    refused(await clerk.post("/v1/call/schedule", json=CALL), "suspended")
    await office.ask("POST", f"/organizations/{owner}/resume")
    await office.ask("POST", "/do-not-call", {"phone_number": CALL["who_to_call"]})
    refused(await clerk.post("/v1/call/schedule", json=CALL), "do_not_call")


def refused(answer: httpx.Response, why: str) -> None:
    told = msgspec.json.decode(answer.content)
    assert (answer.status_code, told["event_id"], told["status"]) == (200, None, "error_scheduling")
    assert why in told["error"]


async def test_too_many_requests_are_a_status_of_the_document(office: Office) -> None:
    made = await office.ask("POST", "/keys", {"name": "slow", "scopes": ["calls"]}, status=201)
    async with office.database.transaction() as db:
        row = await db.get_one(ApiKey, made["id"])
        row.requests_per_minute = 1
    async with office.client_of(made["key"]) as slow:
        query = {"event_id": made["id"]}
        assert (await slow.get("/v1/call/status", params=query)).status_code == 404
        late = await slow.get("/v1/call/status", params=query)
    assert (late.status_code, late.json()["status"]) == (500, "error")
    assert int(late.headers["retry-after"]) > 1


async def test_a_key_without_the_scope_is_not_authorized(office: Office) -> None:
    clerk = await office.with_key(await office.owner(), scopes=("admin",))
    answer = await clerk.post("/v1/call/schedule", json=CALL)
    assert (answer.status_code, answer.json()["status"]) == (401, "error_scheduling")


async def test_a_fault_of_ours_is_a_status_of_the_document(office: Office) -> None:
    query = await scheduled(office)
    async with office.database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE attempt RENAME TO gone")
    for path, shape in (("status", {"status"}), ("transcript", {"status", "transcript"})):
        answer = await office.client.get(f"/v1/call/{path}", params=query)
        told = answer.json()
        assert (answer.status_code, told["status"]) == (500, "error"), answer.text
        assert set(told) == {*shape, "error"}
        assert "attempt" not in answer.text
