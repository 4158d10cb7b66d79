"""Do-not-call numbers and consents over HTTP, and what they do to orders."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from control_plane.db.models.compliance import DoNotCall
from control_plane.orders.gatekeeper import Gatekeeper
from scheduler.claim import claim
from tests import factories
from tests.offices import Office

pytestmark = pytest.mark.db

NUMBER = "+12025550123"
OTHER = "+12025550124"


async def order(desk: Office, number: str = NUMBER) -> str:
    config = {
        "allowed_days": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
                         "sunday"],
        "calling_windows": [
            {"calling_window_start_time": "0:00", "calling_window_end_time": "24:00"}
        ],
    }  # fmt: skip
    body = {"phone_number": number, "call_retry_config": config}
    found: str = (await desk.ask("POST", "/call", body))["call"]["id"]
    return found


async def numbers(desk: Office, query: str = "") -> list[str]:
    page = await desk.ask("GET", f"/do-not-call{query}")
    return [row["phone_number"] for row in page["numbers"]]


async def test_a_number_is_forbidden_found_and_allowed_again(desk: Office) -> None:
    body = {"phone_number": "+1 (202) 555-0123", "reason": "asked"}
    assert (await desk.ask("POST", "/do-not-call", body))["added"] == 1
    again = await desk.ask("POST", "/do-not-call", body)
    assert (again["added"], again["known"]) == (0, 1)
    page = await desk.ask("GET", f"/do-not-call?number={NUMBER.replace('+', '%2B')}")
    [row] = page["numbers"]
    assert (row["phone_number"], row["reason"], row["source"]) == (NUMBER, "asked", "api")
    refused = await desk.ask("POST", "/call", {"phone_number": NUMBER}, status=422)
    assert refused["rule"] == "do_not_call"
    await desk.ask("DELETE", f"/do-not-call/{NUMBER}", status=204)
    await desk.ask("DELETE", f"/do-not-call/{NUMBER}", status=404)
    await desk.ask("POST", "/do-not-call", body)
    [row] = (await desk.ask("GET", "/do-not-call"))["numbers"]
    await desk.ask("DELETE", f"/do-not-call/{row['id']}", status=204)
    assert await numbers(desk) == []
    await order(desk)


async def test_a_list_is_taken_whole_or_not_at_all(desk: Office) -> None:
    many = [f"+1202555{n:04}" for n in range(100, 200)]
    wrong = {"phone_numbers": [*many, "+1"]}
    answer = await desk.ask("POST", "/do-not-call", wrong, status=422)
    assert answer["field"] == "phone_numbers[100]"
    assert await numbers(desk) == []
    body = {"phone_numbers": [*many, many[0]], "phone_number": many[1]}
    told = await desk.ask("POST", "/do-not-call", body)
    assert (told["added"], told["known"]) == (100, 2)
    seen, cursor = [], ""
    while True:
        page = await desk.ask("GET", f"/do-not-call?limit=33{cursor}")
        seen += [row["phone_number"] for row in page["numbers"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(many)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "phone_number"),
        ({"phone_numbers": []}, "phone_numbers"),
        ({"phone_numbers": [NUMBER] * 10_001}, "phone_numbers"),
        ({"phone_number": "12"}, "phone_number"),
        ({"phone_number": NUMBER, "reason": ""}, "reason"),
        ({"number": NUMBER}, "number"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bad_input_is_named(desk: Office, body: dict[str, Any], field: str) -> None:
    answer = await desk.ask("POST", "/do-not-call", body, status=422)
    assert answer["field"] == field
    assert await numbers(desk) == []


async def test_a_file_tells_each_bad_line(desk: Office) -> None:
    file = f"phone_number;reason\r\n{NUMBER};asked\r\nnobody;\r\n{OTHER};\r\n{NUMBER};again\r\n"
    told = await desk.ask("POST", "/do-not-call", file)
    assert (told["added"], told["known"], told["refused"], told["complete"]) == (2, 1, 1, True)
    assert [error["line"] for error in told["errors"]] == [3]
    assert sorted(await numbers(desk)) == [NUMBER, OTHER]
    other = await desk.client.post(
        "/do-not-call", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert other.status_code == 400
    answer = await desk.ask("POST", "/do-not-call", "number\n+1\n", status=422)
    assert answer["field"] == "phone_number"


async def test_orders_that_wait_end_and_others_do_not(desk: Office) -> None:
    await desk.open_trunk()
    stopped, kept = await order(desk), await order(desk, OTHER)
    await desk.ask("POST", f"/call/{stopped}/pause")
    row = await factories.reload_order(desk.database, stopped)
    assert row.due_at is None
    await desk.ask("POST", "/do-not-call", {"phone_number": NUMBER})
    attempts = await claim(desk.database, limit=10)
    assert [attempt.order_id for attempt in attempts] == [kept]
    call = (await desk.ask("GET", f"/call/{stopped}"))["call"]
    assert call["status"] == "errored"
    told = await desk.ask("GET", f"/call/{stopped}/explain")
    assert told["decisions"][-1]["rule"] == "do_not_call"


async def test_two_requests_with_the_same_numbers_do_not_disturb_each_other(desk: Office) -> None:
    body = {"phone_numbers": [f"+1202555{n:04}" for n in range(100, 150)]}
    answers = await asyncio.gather(*(desk.ask("POST", "/do-not-call", body) for _ in range(5)))
    assert sum(answer["added"] for answer in answers) == 50
    async with desk.database.reading() as session:
        count = await session.scalar(select(func.count()).select_from(DoNotCall))
    assert count == 50


async def test_only_who_agreed_is_called(desk: Office) -> None:
    await desk.ask("PATCH", "/organization", {"consent_required": True})
    refused = await desk.ask("POST", "/call", {"phone_number": NUMBER}, status=422)
    assert refused["rule"] == "consent"
    given = {"phone_number": NUMBER, "basis": "form 7", "given_at": "2026-01-31T12:00:00+02:00"}
    await desk.ask("POST", "/consent", given)
    await desk.ask("POST", "/consent", f"phone_number,basis,given_at\n{NUMBER},call,\n")
    rows = (await desk.ask("GET", "/consent"))["consents"]
    assert [row["basis"] for row in rows] == ["call", "form 7"]
    assert rows[1]["given_at"] == "2026-01-31T10:00:00Z"
    placed = await order(desk)
    await desk.ask("DELETE", f"/consent/{rows[0]['id']}")
    async with desk.database.transaction() as session:
        row = await factories.reload_order(desk.database, placed)
        keeper = Gatekeeper(session, datetime.now(UTC))
        await keeper.prepare([row])
        assert type(await keeper.decide(row)).__name__ == "Go"
    assert (await desk.ask("DELETE", f"/consent/{NUMBER}"))["revoked"] == 1
    assert (await desk.ask("DELETE", f"/consent/{NUMBER}"))["revoked"] == 0
    kept = (await desk.ask("GET", f"/consent?number=%2B{NUMBER[1:]}"))["consents"]
    assert all(row["revoked_at"] is not None for row in kept)
    assert len(kept) == 2
    await desk.open_trunk()
    assert await claim(desk.database, limit=10) == []
    assert (await desk.ask("GET", f"/call/{placed}"))["call"]["status"] == "errored"
    await desk.ask("DELETE", f"/consent/{OTHER}", status=404)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_agreement_has_a_basis_and_a_past(desk: Office) -> None:
    ahead = {"phone_number": NUMBER, "basis": "b", "given_at": "2999-01-01T00:00:00Z"}
    for body, field in (({"phone_number": NUMBER}, "basis"), (ahead, "given_at")):
        assert (await desk.ask("POST", "/consent", body, status=422))["field"] == field
    lines = f"phone_number,basis,given_at\n{NUMBER},,\n{NUMBER},b,yesterday\n"
    told = await desk.ask("POST", "/consent", lines)
    assert (told["added"], [error["line"] for error in told["errors"]]) == (0, [2, 3])


async def test_one_organization_sees_nothing_of_another(desk: Office) -> None:
    await desk.ask("POST", "/do-not-call", {"phone_number": NUMBER})
    await desk.ask("POST", "/consent", {"phone_number": NUMBER, "basis": "b"})
    [entry] = (await desk.ask("GET", "/do-not-call"))["numbers"]
    [consent] = (await desk.ask("GET", "/consent"))["consents"]
    other = await desk.another()
    assert (await desk.ask("GET", "/do-not-call", client=other))["numbers"] == []
    assert (await desk.ask("GET", "/consent", client=other))["consents"] == []
    for path in (f"/do-not-call/{entry['id']}", f"/do-not-call/{NUMBER}",
                 f"/consent/{consent['id']}", f"/consent/{NUMBER}"):  # fmt: skip
        await desk.ask("DELETE", path, status=404, client=other)
    reader = await desk.with_key(await desk.owner(), scopes=("calls",))
    assert len((await desk.ask("GET", "/do-not-call", client=reader))["numbers"]) == 1
    body = {"phone_number": OTHER}
    await desk.ask("POST", "/do-not-call", body, status=403, client=reader)
