"""The order book over HTTP: repeats, batches, pauses, explanations, rules at the door, lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.app import Resources
from control_plane.compliance.entries import never_call
from control_plane.db.engine import Database
from control_plane.db.models.assistant import AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Organization
from control_plane.orders.placing import OrderBuilder
from tests import factories

pytestmark = [pytest.mark.db, pytest.mark.engines]

NUMBER = "+12025550123"
ALWAYS = {
    "allowed_days": [
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ],
    "calling_windows": [{"calling_window_start_time": "0:00", "calling_window_end_time": "24:00"}],
}  # fmt: skip


async def place(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"phone_number": NUMBER, "call_retry_config": ALWAYS, **fields}
    answer = await api.post("/call", json=body)
    assert answer.status_code == 200, answer.text
    call: dict[str, Any] = answer.json()["call"]
    return call


async def count(resources: Resources, table: Any = CallOrder) -> int:
    async with resources.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


def again(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_the_same_request_again_gets_the_same_answer(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    body = {"phone_number": NUMBER, "metadata": {"a": "b"}}
    first = await api.post("/call", json=body, headers=again("one"))
    second = await api.post("/call", json=body, headers=again("one"))
    assert second.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    other = await api.post("/call", json=body, headers=again("two"))
    assert other.json()["call"]["id"] != first.json()["call"]["id"]
    assert await count(resources) == 2


async def test_a_key_belongs_to_one_body_and_one_operation(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    await api.post("/call", json={"phone_number": NUMBER}, headers=again("k"))
    for path, body in (
        ("/call", {"phone_number": "+12025550124"}),
        ("/call/batch", {"calls": [{"phone_number": NUMBER}]}),
    ):
        answer = await api.post(path, json=body, headers=again("k"))
        assert answer.status_code == 422
        assert answer.json()["code"] == "idempotency_key_reused"
        assert answer.json()["field"] == "Idempotency-Key"
    assert await count(resources) == 1


async def test_what_was_refused_may_be_sent_again_corrected(api: httpx.AsyncClient) -> None:
    refused = await api.post("/call", json={"phone_number": "12"}, headers=again("k"))
    assert refused.status_code == 422
    taken = await api.post("/call", json={"phone_number": NUMBER}, headers=again("k"))
    assert taken.status_code == 200


async def test_fifty_at_once_with_one_key_are_one_order(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    body = {"phone_number": NUMBER}
    answers = await asyncio.gather(
        *(api.post("/call", json=body, headers=again("k")) for _ in range(50))
    )
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses
    assert statuses <= {200, 409}
    ids = {a.json()["call"]["id"] for a in answers if a.status_code == 200}
    assert len(ids) == 1
    assert await count(resources) == 1


async def test_a_bad_key_is_named(api: httpx.AsyncClient) -> None:
    answer = await api.post("/call", json={"phone_number": NUMBER}, headers=again("k" * 256))
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


async def test_many_orders_share_their_transactions(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    bodies = [{"phone_number": NUMBER, "metadata": {"n": str(n)}} for n in range(100)]
    bodies[40]["phone_number"] = "+1"
    answers = await asyncio.gather(*(api.post("/call", json=body) for body in bodies))
    refused = [n for n, answer in enumerate(answers) if answer.status_code != 200]
    assert refused == [40]
    assert await count(resources) == 99
    got = {a.json()["call"]["metadata"]["n"] for a in answers if a.status_code == 200}
    assert len(got) == 99


async def test_a_batch_tells_each_row(api: httpx.AsyncClient, resources: Resources) -> None:
    rows = [
        {"phone_number": NUMBER},
        {"phone_number": "+1"},
        {"phone_number": NUMBER, "nonsense": 1},
        {"phone_number": NUMBER, "assistant": {"prompt": "Hi {{name}}."}},
        {"phone_number": NUMBER, "assistant": {"prompt": "Hi."}, "force_now": True},
    ]
    answer = await api.post("/call/batch", json={"calls": rows}, headers=again("b"))
    told = answer.json()
    assert (answer.status_code, told["placed"], told["refused"]) == (200, 2, 3)
    assert [row["index"] for row in told["calls"]] == [0, 4]
    assert [(e["index"], e["field"]) for e in told["errors"]] == [
        (1, "phone_number"),
        (2, "nonsense"),
        (3, "prompt_variables.name"),
    ]
    for row in told["calls"]:
        assert (await api.get(f"/call/{row['id']}")).status_code == 200
    assert await count(resources) == 2
    repeated = await api.post("/call/batch", json={"calls": rows}, headers=again("b"))
    assert repeated.json() == told
    assert await count(resources) == 2


def first(database: Database, changed: Callable[[], Awaitable[Any]], patch: Any) -> None:
    """Let this be changed before the next transaction that writes begins."""
    begin = database.transaction

    @asynccontextmanager
    async def transaction() -> AsyncIterator[AsyncSession]:
        patch.setattr(database, "transaction", begin)
        await changed()
        async with begin() as db:
            yield db

    patch.setattr(database, "transaction", transaction)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/do-not-call", {"phone_numbers": [NUMBER]}, "phone_number"),
        ("/assistant/{id}", {"prompt": "Hi {{name}}."}, "prompt_variables.name"),
        ("/assistant/{id}", None, "assistant_id"),
        ("/organization", {"allowed_countries": ["DE"]}, "phone_number"),
    ],
    ids=["listed", "changed", "deleted", "rules"],
)
async def test_a_batch_is_judged_by_what_is_so_when_it_is_stored(
    api: httpx.AsyncClient,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: Any,
    field: str,
) -> None:
    """Its rows are made before the transaction that stores them, during which nobody writes."""
    made = (await api.post("/assistant", json={"name": "A", "prompt": "Hi."})).json()["assistant"]
    where = path.format(id=made["id"])
    ask = "DELETE" if body is None else "POST" if path == "/do-not-call" else "PATCH"
    first(resources.database, lambda: api.request(ask, where, json=body), monkeypatch)
    rows = [{"phone_number": NUMBER, "assistant_id": made["id"]}]
    told = (await api.post("/call/batch", json={"calls": rows})).json()
    assert [error["field"] for error in told["errors"]] == [field], told
    assert (told["placed"], await count(resources)) == (0, 0)


async def test_a_batch_is_made_once_where_nothing_changes(
    api: httpx.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    build = OrderBuilder.build

    async def counted(self: OrderBuilder, *asked: Any) -> Any:
        built.append(asked)
        return await build(self, *asked)

    async def placed_elsewhere() -> None:
        before.append(await place(api))

    before: list[dict[str, Any]] = []
    monkeypatch.setattr(OrderBuilder, "build", counted)
    first(resources.database, placed_elsewhere, monkeypatch)
    told = (await api.post("/call/batch", json={"calls": [{"phone_number": NUMBER}] * 3})).json()
    assert (told["placed"], len(built)) == (3, 3 + 1)
    later = (await api.get(f"/call/{told['calls'][0]['id']}")).json()["call"]
    assert later["created_at"] > before[0]["created_at"]  # the list's order is that of storing


async def test_all_or_nothing_leaves_nothing(api: httpx.AsyncClient, resources: Resources) -> None:
    versions = await count(resources, AssistantVersion)
    rows = [{"phone_number": NUMBER, "assistant": {"prompt": "Hi."}}, {"phone_number": "+1"}]
    body = {"calls": rows, "all_or_nothing": True}
    told = (await api.post("/call/batch", json=body)).json()
    assert (told["placed"], told["calls"], told["refused"]) == (0, [], 1)
    assert await count(resources) == 0
    assert await count(resources, AssistantVersion) == versions


@pytest.mark.parametrize(
    ("rows", "field"), [([], "calls"), ([{"phone_number": NUMBER}] * 10_001, "calls"), (7, "calls")]
)
async def test_a_batch_has_bounds(api: httpx.AsyncClient, rows: Any, field: str) -> None:
    answer = await api.post("/call/batch", json={"calls": rows})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_refused_inline_assistant_leaves_nothing(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    versions = await count(resources, AssistantVersion)
    body = {"phone_number": NUMBER, "assistant": {"prompt": "Hi {{name}}."}}
    assert (await api.post("/call", json=body)).status_code == 422
    assert await count(resources, AssistantVersion) == versions


async def test_an_order_keeps_the_assistant_it_was_placed_with(api: httpx.AsyncClient) -> None:
    made = (await api.post("/assistant", json={"name": "A", "prompt": "One."})).json()["assistant"]
    first = await place(api, assistant_id=made["id"])
    await api.patch(f"/assistant/{made['id']}", json={"prompt": "Two."})
    second = await place(api, assistant_id=made["id"])
    kept = (await api.get(f"/call/{first['id']}")).json()["call"]["assistant"]
    assert (kept["prompt"], kept["version"]) == ("One.", 1)
    assert (second["assistant"]["prompt"], second["assistant"]["version"]) == ("Two.", 2)


async def test_a_paused_order_waits_and_goes_on(api: httpx.AsyncClient) -> None:
    call = await place(api)
    assert call["status"] == "queued_for_calling"
    paused = (await api.post(f"/call/{call['id']}/pause")).json()["call"]
    assert (paused["paused"], paused["status"]) == (True, "scheduled")
    assert (paused["waiting_for"], paused["next_at"]) == ("paused", None)
    told = (await api.get(f"/call/{call['id']}/explain")).json()
    assert (told["now"]["verdict"], told["now"]["rule"]) == ("wait", "paused")
    resumed = (await api.post(f"/call/{call['id']}/resume")).json()["call"]
    assert not resumed["paused"]
    assert (await api.get(f"/call/{call['id']}/explain")).json()["now"]["verdict"] == "go"
    await api.post(f"/call/{call['id']}/cancel")
    for verb in ("pause", "resume"):
        assert (await api.post(f"/call/{call['id']}/{verb}")).status_code == 409


async def test_an_explanation_shows_the_callees_clock(api: httpx.AsyncClient) -> None:
    config = {
        "timezone": "Asia/Kathmandu",
        "allowed_days": ["sunday"],
        "calling_windows": [
            {"calling_window_start_time": "9am", "calling_window_end_time": "9:01"}
        ],
    }
    call = await place(api, call_retry_config=config)
    told = (await api.get(f"/call/{call['id']}/explain")).json()
    assert told["timezones"] == ["Asia/Kathmandu"]
    assert told["now"]["rule"] in ("allowed_days", "calling_windows")
    assert told["now"]["next_eligible_recipient_time"].endswith("T09:00:00+05:45")
    [step] = told["decisions"]
    assert step["decision"] == "order_placed"
    assert step["recipient_time"].endswith("+05:45")
    assert step["next_eligible_at"] == call["next_at"]


async def test_a_time_in_the_past_is_dialled_now_and_said_so(api: httpx.AsyncClient) -> None:
    call = await place(api, scheduled_at="2020-01-01T00:00:00Z")
    assert call["status"] == "queued_for_calling"
    assert call["notices"] == ["scheduled_at lies in the past: the order is dialled now"]


async def test_a_time_in_the_past_outside_the_window_says_when_it_opens(
    api: httpx.AsyncClient,
) -> None:
    today = datetime.now(UTC).weekday()
    others = [day for index, day in enumerate(ALWAYS["allowed_days"]) if (index - today) % 7 == 3]
    call = await place(
        api,
        scheduled_at="2020-01-01T00:00:00Z",
        call_retry_config={**ALWAYS, "allowed_days": others, "timezone": "UTC"},
    )
    assert call["status"] == "scheduled"
    opens = f"the order waits for its allowed_days, until {call['next_at']}"
    assert call["notices"] == [f"scheduled_at lies in the past: {opens}"]


@pytest.mark.parametrize(
    ("rule", "number"),
    [("do_not_call", NUMBER), ("consent", NUMBER), ("country", "+493012345678")],
)
async def test_a_number_that_must_not_be_called_is_refused_by_its_rule(
    api: httpx.AsyncClient, resources: Resources, rule: str, number: str
) -> None:
    async with resources.database.transaction() as session:
        owner = (await session.scalars(select(Organization))).one()
        if rule == "do_not_call":
            await never_call(
                session, owner.id, number, reason=None, source="api", now=factories.ago()
            )
    if rule == "consent":
        await api.patch("/organization", json={"consent_required": True})
    answer = await api.post("/call", json={"phone_number": number, "call_retry_config": ALWAYS})
    told = answer.json()
    assert (answer.status_code, told["code"], told["rule"]) == (422, "not_callable", rule)
    assert told["field"] == "phone_number"
    assert await count(resources) == 0


async def test_the_organization_widens_its_countries(api: httpx.AsyncClient) -> None:
    was = (await api.get("/organization")).json()
    assert (was["allowed_countries"], was["callable_countries"]) == (None, ["US"])
    now = (await api.patch("/organization", json={"allowed_countries": ["us", "DE"]})).json()
    assert now["callable_countries"] == ["DE", "US"]
    await place(api, phone_number="+493012345678")
    bad = await api.patch("/organization", json={"allowed_countries": ["US", "Atlantis"]})
    assert (bad.status_code, bad.json()["field"]) == (422, "allowed_countries[1]")
    zone = await api.patch("/organization", json={"default_timezone": "Mars/Base"})
    assert (zone.status_code, zone.json()["field"]) == (422, "default_timezone")


async def test_a_number_without_a_zone_asks_for_one(api: httpx.AsyncClient) -> None:
    await api.patch("/organization", json={"allowed_countries": ["US", "RU"]})
    answer = await api.post("/call", json={"phone_number": "+18002345678"})
    assert (answer.status_code, answer.json()["field"]) == (422, "call_retry_config.timezone")
    await api.patch("/organization", json={"default_timezone": "America/Chicago"})
    call = (await api.post("/call", json={"phone_number": "+18002345678"})).json()["call"]
    assert call["timezones"] == ["America/Chicago"]


async def test_lists_are_narrowed(api: httpx.AsyncClient) -> None:
    berlin = await place(api, metadata={"city": "Berlin", 'a"b': "c"})
    await place(api, metadata={"city": "Paris"})

    async def found(**params: Any) -> list[str]:
        answer = await api.get("/call", params=params)
        assert answer.status_code == 200, answer.text
        return [call["id"] for call in answer.json()["calls"]]

    assert await found(metadata="city:Berlin") == [berlin["id"]]
    assert await found(metadata=["city:Berlin", 'a"b:c']) == [berlin["id"]]
    assert await found(metadata=["city:Berlin", "x:y"]) == []
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert len(await found(created_before=soon)) == 2
    assert await found(created_after=soon) == []
    assert await found(campaign_id="none") == []
    for params in ({"metadata": "city"}, {"created_after": "2026-01-01T00:00:00"}):
        answer = await api.get("/call", params=params)
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(params)))
