"""Campaigns over HTTP: drafts, rows, dry runs, states, isolation."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from control_plane.compliance.entries import use
from control_plane.db.base import read_clock
from control_plane.db.models.campaign import CampaignRow
from control_plane.db.models.organization import ApiKey
from scheduler.claim import claim
from tests import call_rows
from tests.campaigns.conftest import NUMBERS, Desk

pytestmark = pytest.mark.db

CLOSED = {
    "timezone": "Asia/Kathmandu",
    "allowed_days": ["sunday"],
    "calling_windows": [{"calling_window_start_time": "9am", "calling_window_end_time": "9:01"}],
}


async def count(desk: Desk, campaign_id: str) -> int:
    async with desk.database.reading() as session:
        query = select(func.count()).where(CampaignRow.campaign_id == campaign_id)
        return await session.scalar(query) or 0


async def test_a_draft_is_kept_changed_listed_and_deleted(desk: Desk) -> None:
    other = await desk.assistant("Other.")
    made = await desk.campaign(NUMBERS[:3], name="First", metadata={"a": "b"})
    assert (await desk.get(made))["status"] == "draft"
    changes = {
        "name": "Second",
        "assistant_id": other,
        "call_retry_config": None,
        "max_concurrent_calls": 7,
        "max_failure_rate": 0.5,
        "failure_sample": 3,
        "prompt_variables": {"x": "y"},
        "metadata": {},
        "scheduled_at": "2099-01-01T01:00:00+01:00",
    }
    shown = (await desk.ask("PATCH", f"/campaign/{made}", changes))["campaign"]
    assert {name: shown[name] for name in changes} == changes | {
        "scheduled_at": "2099-01-01T00:00:00Z"
    }
    assert shown == await desk.get(made)
    second = await desk.campaign()
    first_page = await desk.ask("GET", "/campaign?limit=1")
    assert [row["id"] for row in first_page["campaigns"]] == [second]
    rest = await desk.ask("GET", f"/campaign?cursor={first_page['next_cursor']}")
    assert [row["id"] for row in rest["campaigns"]] == [made]
    await desk.ask("DELETE", f"/campaign/{made}", status=204)
    await desk.ask("GET", f"/campaign/{made}", status=404)
    assert await count(desk, made) == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"assistant_id": "no"}, "assistant_id"),
        ({"from_phone_numbers": ["+12025550150"]}, "from_phone_numbers[0]"),
        ({"max_concurrent_calls": 0}, "max_concurrent_calls"),
        ({"max_failure_rate": 1.1}, "max_failure_rate"),
        ({"failure_sample": 0}, "failure_sample"),
        ({"call_retry_config": {"timezone": "Mars/Base"}}, "call_retry_config.timezone"),
        ({"scheduled_at": "2026-01-01T00:00:00"}, "scheduled_at"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_bad_field_is_named(desk: Desk, change: dict[str, Any], field: str) -> None:
    made = await desk.campaign()
    body = {"name": "C", "assistant_id": (await desk.get(made))["assistant_id"], **change}
    for method, path in (("POST", "/campaign"), ("PATCH", f"/campaign/{made}")):
        status = 404 if field == "assistant_id" else 422
        answer = await desk.ask(method, path, body, status=status)
        assert answer["field"] == field
    assert len((await desk.ask("GET", "/campaign"))["campaigns"]) == 1


async def test_every_bad_row_is_told_and_the_good_ones_are_kept(desk: Desk) -> None:
    assistant = await desk.assistant("Hi {{name}}, of {{city}}.")
    made = await desk.campaign(assistant_id=assistant, prompt_variables={"city": "Rome"})
    file = "\r\n".join([
        "phone_number;name;metadata.crm id;other",
        f"{NUMBERS[0]};Ann;7;=1+1",
        "nobody;Bob;;",
        f"{NUMBERS[1]};;;",
        f"+1 202 555 {NUMBERS[0][-4:]};Ann;;",
        f"{NUMBERS[2]};Cid;;",
        "",
        f"{NUMBERS[3]};D;;;;",
        ";E;;",
    ])  # fmt: skip
    told = await desk.ask("POST", f"/campaign/{made}/rows", file)
    assert (told["accepted"], told["refused"], told["complete"]) == (2, 5, True)
    errors = {error["line"]: error["detail"] for error in told["errors"]}
    assert sorted(errors) == [3, 4, 5, 8, 9]
    assert "{{name}}" in errors[4]
    assert errors[5] == "duplicate of line 2"
    again = await desk.ask("POST", f"/campaign/{made}/rows", file)
    assert (again["accepted"], again["refused"]) == (0, 7)
    assert "earlier upload" in again["errors"][0]["detail"]
    body: dict[str, Any] = {"rows": [
        {"phone_number": NUMBERS[4], "prompt_variables": {"name": "F", "city": "Bari"}},
        {"phone_number": NUMBERS[5]},
        {"phone_number": NUMBERS[6], "nonsense": 1},
        {"phone_number": NUMBERS[4], "prompt_variables": {"name": "F"}},
        7,
    ]}  # fmt: skip
    told = await desk.ask("POST", f"/campaign/{made}/rows", body)
    assert (told["accepted"], [error["line"] for error in told["errors"]]) == (1, [2, 3, 4, 5])
    assert told["errors"][2]["detail"] == "duplicate of line 1"
    rows = (await desk.ask("GET", f"/campaign/{made}/rows"))["rows"]
    assert [row["phone_number"] for row in rows] == [NUMBERS[0], NUMBERS[2], NUMBERS[4]]
    assert rows[0]["prompt_variables"] == {"name": "Ann", "other": "=1+1"}
    assert rows[0]["metadata"] == {"crm id": "7"}
    assert {row["status"] for row in rows} == {"waiting"}
    assert (await desk.get(made))["rows"] == 3


async def test_a_file_that_breaks_off_keeps_what_came_before(desk: Desk) -> None:
    made = await desk.campaign()
    file = f'phone_number,a\n{NUMBERS[0]},x\n{NUMBERS[1]},"open\n{NUMBERS[2]},x\n'
    told = await desk.ask("POST", f"/campaign/{made}/rows", file)
    assert (told["accepted"], told["complete"]) == (1, False)
    assert [error["line"] for error in told["errors"]] == [3]


async def test_rows_are_paged(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:7])
    seen: list[str] = []
    cursor = ""
    while True:
        page = await desk.ask("GET", f"/campaign/{made}/rows?limit=3{cursor}")
        seen += [row["phone_number"] for row in page["rows"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == NUMBERS[:7]
    for query in ("status=maybe", "cursor=x"):
        answer = await desk.ask("GET", f"/campaign/{made}/rows?{query}", status=422)
        assert answer["field"] == query.partition("=")[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_upload_has_bounds(desk: Desk) -> None:
    made = await desk.campaign()
    path = f"/campaign/{made}/rows"
    bodies: list[dict[str, Any]] = [{"rows": []}, {"rows": [{}] * 10_001}, {}]
    for body in bodies:
        assert (await desk.ask("POST", path, body, status=422))["field"] == "rows"
    name = "n" * 201
    told = await desk.ask("POST", path, f"phone_number,{name}\n{NUMBERS[0]},x\n")
    assert (told["accepted"], told["refused"]) == (0, 1)
    told = await desk.ask("POST", path, f"phone_number,a\n{NUMBERS[0]},{'x' * 10_001}\n")
    assert (told["accepted"], told["refused"]) == (0, 1)
    told = await desk.ask("POST", path, f"phone_number,a\n{NUMBERS[0]},\0\n")
    assert (told["accepted"], told["refused"]) == (0, 1)
    huge = {"Content-Type": "text/csv", "Content-Length": str(65 * 1024 * 1024)}
    answer = await desk.office.client.post(path, content=b"x", headers=huge)
    assert answer.status_code == 413
    assert "64 MiB" in answer.json()["detail"]
    plain = {"Content-Type": "text/plain"}
    assert (await desk.office.client.post(path, content=b"x", headers=plain)).status_code == 400


async def test_a_dry_run_says_what_the_launch_does(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:10])
    await desk.ask("POST", "/do-not-call", {"phone_numbers": NUMBERS[:3]})
    abroad = {"rows": [{"phone_number": "+4930123456"}, {"phone_number": "+19002345678"}]}
    await desk.ask("POST", f"/campaign/{made}/rows", abroad)
    told = await desk.ask("GET", f"/campaign/{made}/dry-run")
    assert (told["rows"], told["now"], told["later"]) == (12, 7, [])
    never = {each["rule"]: (each["count"], each["line"]) for each in told["never"]}
    assert never == {"do_not_call": (3, 1), "country": (1, 11), "number_type": (1, 12)}
    await desk.ask("PATCH", f"/campaign/{made}", {"call_retry_config": CLOSED})
    told = await desk.ask("GET", f"/campaign/{made}/dry-run")
    [later] = told["later"]
    assert (told["now"], later["count"]) == (0, 7)
    assert later["rule"] in ("allowed_days", "calling_windows")
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.feeder.check()
    orders = await desk.orders(made)
    assert {order.waiting_rule for order in orders} == {later["rule"]}
    shown = await desk.ask("GET", f"/call/{orders[0].id}")
    assert shown["call"]["next_at"] == later["next_at"]
    refused = (await desk.ask("GET", f"/campaign/{made}/rows?status=refused"))["rows"]
    assert [row["line"] for row in refused] == [1, 2, 3, 11, 12]
    assert (await desk.ask("GET", f"/campaign/{made}/dry-run"))["rows"] == 0


async def test_a_dry_run_knows_the_caps(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:3])
    await desk.launched(NUMBERS[:1])
    await desk.ask("PATCH", "/organization", {"attempts_per_day": 1})
    for attempt in await claim(desk.database, limit=5):
        async with desk.database.transaction() as session:
            now = await read_clock(session)
            await call_rows.write(session, attempt.id, dialing_at=now)
    told = await desk.ask("GET", f"/campaign/{made}/dry-run")
    assert (told["now"], told["later"][0]["count"]) == (2, 1)
    assert told["later"][0]["rule"] == "attempt_cap"
    async with desk.database.transaction() as session:
        key = (await session.scalars(select(ApiKey))).one()
        key.calls_per_day = 1
        await use(session, key.id, await read_clock(session), calls=1)
    told = await desk.ask("GET", f"/campaign/{made}/dry-run")
    later = {each["rule"]: each for each in told["later"]}
    assert {rule: each["count"] for rule, each in later.items()} == {
        "attempt_cap": 1,
        "spend_cap": 2,
    }
    assert later["spend_cap"]["next_at"].endswith("T00:00:00Z")


async def test_states_follow_their_table(desk: Desk) -> None:
    empty = await desk.campaign()
    assert "rows" in (await desk.ask("POST", f"/campaign/{empty}/launch", status=409))["detail"]
    made = await desk.campaign(NUMBERS[:2])
    for verb in ("pause", "resume"):
        await desk.ask("POST", f"/campaign/{made}/{verb}", status=409)
    await desk.ask("POST", f"/campaign/{made}/launch")
    await desk.ask("POST", f"/campaign/{made}/launch")  # sent again: nothing changes
    assert (await desk.row(made)).event_count == 1
    rows = {"rows": [{"phone_number": NUMBERS[5]}]}
    await desk.ask("POST", f"/campaign/{made}/rows", rows, status=409)
    await desk.ask("DELETE", f"/campaign/{made}", status=409)
    late = await desk.ask("PATCH", f"/campaign/{made}", {"metadata": {}}, status=409)
    assert late["field"] == "metadata"
    await desk.ask("PATCH", f"/campaign/{made}", {"name": "N", "max_failure_rate": 0.1})
    await desk.ask("POST", f"/campaign/{made}/pause")
    await desk.ask("POST", f"/campaign/{made}/launch", status=409)
    await desk.ask("POST", f"/campaign/{made}/resume")
    await desk.ask("POST", f"/campaign/{made}/cancel", status=202)
    await desk.ask("POST", f"/campaign/{made}/cancel", status=202)
    await desk.ask("POST", f"/campaign/{made}/resume", status=409)
    await desk.ask("PATCH", f"/campaign/{made}", {"failure_sample": 1}, status=409)
    events = (await desk.ask("GET", "/webhook/events?types=campaign.*"))["events"]
    assert [(event["type"], event["sequence"]) for event in events] == [
        ("campaign.launched", 1),
        ("campaign.paused", 2),
        ("campaign.resumed", 3),
        ("campaign.cancelled", 4),
    ]
    assert events[0]["data"]["campaign_id"] == made
    assert events[0]["data"]["metadata"] == {}


async def test_one_organization_sees_nothing_of_another(desk: Desk) -> None:
    made = await desk.campaign(NUMBERS[:1])
    other = await desk.office.another()
    assert (await desk.ask("GET", "/campaign", client=other))["campaigns"] == []
    paths = [("GET", ""), ("GET", "/rows"), ("GET", "/dry-run"), ("GET", "/report")]
    paths += [("POST", f"/{verb}") for verb in ("launch", "pause", "resume", "cancel")]
    for method, path in [*paths, ("DELETE", "")]:
        await desk.ask(method, f"/campaign/{made}{path}", status=404, client=other)
    await desk.ask("PATCH", f"/campaign/{made}", {"name": "x"}, status=404, client=other)
    rows = {"rows": [{"phone_number": NUMBERS[5]}]}
    await desk.ask("POST", f"/campaign/{made}/rows", rows, status=404, client=other)
    body = {"name": "C", "assistant_id": (await desk.get(made))["assistant_id"]}
    await desk.ask("POST", "/campaign", body, status=404, client=other)
    assert (await desk.get(made))["name"] == "C"
