"""Addresses of webhooks whose path is the secret: sealed at rest, and whom they are shown to."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from control_plane.assistants import specs, versions
from control_plane.db.base import SealedAddress, read_clock
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import OutboxRow
from control_plane.db.models.webhook import Delivery
from control_plane.domain.masks import SealedUrl
from control_plane.webhooks.outbox import relay
from process import logs
from scheduler.campaigns import Feeder
from tests import dumps, offices
from tests.offices import Office

pytestmark = pytest.mark.db

NUMBER, OURS = "+12025550123", "+12025550199"
MARK = "B0Zx81SecretPath"
HOST = "https://hooks.example.com"
MASKED = f"{HOST}/****tail"


def url(place: str) -> str:
    """Return an address that nobody may know; `place` says where it was given."""
    return f"{HOST}/services/{place}/{MARK}tail"


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncIterator[Office]:
    async with offices.office(tmp_path, database_url) as made:
        await made.open_trunk()
        yield made


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Has everything logged, and returns what was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("control-plane", level="DEBUG")

    def so_far() -> str:
        logs.get_logger(__name__).info("read so far")
        said = "".join(capsys.readouterr())
        assert "read so far" in said
        return said

    yield so_far
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def assistant(office: Office, **fields: Any) -> dict[str, Any]:
    body = {"name": "A", "prompt": "Be kind.", **fields}
    made: dict[str, Any] = (await office.ask("POST", "/assistant", body, status=201))["assistant"]
    return made


async def caller(office: Office) -> httpx.AsyncClient:
    """Return a client whose key may place and read calls, and no more."""
    return await office.with_key(await office.owner(), scopes=("calls",))


async def stored(office: Office, assistant_id: str) -> dict[str, Any]:
    async with office.database.reading() as db:
        return (await db.get_one(Assistant, assistant_id)).spec


async def whole(office: Office, assistant_id: str) -> str | None:
    """Return the address that is kept for an assistant."""
    spec = specs.load(await stored(office, assistant_id))
    return specs.shown(spec, office.vault).webhook_url


def inline(place: str) -> dict[str, Any]:
    return {"name": "I", "prompt": "Be kind.", "webhook_url": url(place)}


async def order_by_every_way(office: Office) -> None:
    """Have an address given wherever one may be."""
    made = await assistant(office, webhook_url=url("assistant"), is_default=True)
    key = made["id"]
    await office.ask("PATCH", f"/assistant/{key}", {"webhook_url": url("patched")})
    hook = await office.ask("POST", "/webhook", {"url": url("endpoint")}, status=201)
    await office.ask("PATCH", f"/webhook/{hook['id']}", {"url": url("moved")})
    for speaker in ({}, {"assistant_id": key}, {"assistant": inline("order")}):
        body = {"phone_number": NUMBER, "force_now": True, **speaker}
        answer = await office.client.post("/call", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code in (200, 422), answer.text
        await office.ask("POST", "/call", body)
    rows = [{"phone_number": f"+1202555{n:04}", "assistant": inline("batch")} for n in range(3)]
    batch = await office.ask("POST", "/call/batch", {"calls": rows})
    assert batch["placed"] == 3
    for body in ({}, {"assistant": inline("talk")}):
        told = {**body, "webhook_url": url("session")}
        await office.ask("POST", "/session", told, status=201)
    await office.ask("POST", "/voice/start", {"agent_id": key})
    dial = {"agent_id": key, "to_number": NUMBER, "from_number": OURS, "recording": False}
    await office.ask("POST", "/voice/outbound/dial", {**dial, "webhook_url": url("dialled")})
    redial = {"who_to_call": NUMBER, "when": 0, "model": "gpt-realtime", "instructions": "Hi."}
    await office.ask("POST", "/redial/v1/call/schedule", redial)
    ids = await office.ask("GET", "/dial/ids")
    [case] = [each["id"] for each in ids["use_cases"] if each["name"] == "A"]
    [number] = [each["id"] for each in ids["numbers"] if each["name"] == OURS]
    outbound = {"number_id": number, "phone_number": NUMBER, "use_case_id": case}
    await office.ask("POST", "/dial/outbound", {**outbound, "max_duration_mins": 5})
    campaign = {"name": "C", "assistant_id": key}
    made = (await office.ask("POST", "/campaign", campaign, status=201))["campaign"]
    rows = [{"phone_number": NUMBER}]
    await office.ask("POST", f"/campaign/{made['id']}/rows", {"rows": rows})
    await office.ask("POST", f"/campaign/{made['id']}/launch")
    await Feeder(office.database).check()


async def end_everything(office: Office) -> None:
    """Let every call be over, and everybody be told."""
    for call in (await office.ask("GET", "/call?limit=100"))["calls"]:
        await office.client.post(f"/call/{call['id']}/cancel")
    for session in (await office.ask("GET", "/session"))["sessions"]:
        await office.client.post(f"/session/{session['id']}/end")
    async with office.database.transaction() as db:
        assert await db.scalar(select(OutboxRow.id).limit(1)) is not None
        views, now = office.resources.views, await read_clock(db)
        while await relay(db, office.vault, views, now=now, limit=100):
            pass


async def test_no_address_is_in_the_database_nor_in_a_log(
    office: Office, logged: Callable[[], str]
) -> None:
    await order_by_every_way(office)
    await end_everything(office)
    async with office.database.reading() as db:
        sent = list(await db.scalars(select(Delivery)))
        orders = list(await db.scalars(select(CallOrder)))
    addresses = {office.vault.open_url(each.url).split("/")[4] for each in sent}
    assert {"patched", "moved", "order", "session", "dialled"} <= addresses
    assert {each.receiver for each in sent if each.endpoint_id is None} == {
        f"{orders[0].organization_id} {HOST}:None"
    }
    kept = await dumps.everything(office.database)
    assert HOST in kept
    assert "sealed:" in kept
    assert MARK not in kept
    assert MARK not in logged()


async def test_who_may_change_an_assistant_sees_its_address_and_others_the_host(
    office: Office,
) -> None:
    key = (made := await assistant(office, webhook_url=url("a")))["id"]
    assert made["webhook_url"] == url("a")
    path = f"/assistant/{key}"
    for client, shown in ((office.client, url("a")), (await caller(office), MASKED)):
        one = await office.ask("GET", path, client=client)
        assert one["assistant"]["webhook_url"] == shown
        listed = (await office.ask("GET", "/assistant", client=client))["assistants"]
        assert [each["webhook_url"] for each in listed if each["id"] == key] == [shown]
    body = {"phone_number": NUMBER, "assistant_id": key}
    placed = (await office.ask("POST", "/call", body))["call"]
    asked = {"assistant_id": key, "webhook_url": url("session")}
    begun = (await office.ask("POST", "/session", asked, status=201))["session"]
    assert (begun["webhook_url"], begun["assistant"]["webhook_url"]) == (MASKED, MASKED)
    assert placed["assistant"]["webhook_url"] == MASKED, "it is kept with its Idempotency-Key"
    for client, shown in ((office.client, url("a")), (await caller(office), MASKED)):
        call = (await office.ask("GET", f"/call/{placed['id']}", client=client))["call"]
        [listed] = (await office.ask("GET", "/call", client=client))["calls"]
        assert call["assistant"]["webhook_url"] == shown
        assert listed["assistant"]["webhook_url"] == MASKED
        session = (await office.ask("GET", f"/session/{begun['id']}", client=client))["session"]
        assert (session["webhook_url"], session["assistant"]["webhook_url"]) == (MASKED, MASKED)


async def test_what_is_told_of_a_call_names_no_address(office: Office) -> None:
    await office.ask("POST", "/call", {"phone_number": NUMBER, "assistant": inline("order")})
    await end_everything(office)
    async with office.database.reading() as db:
        [sent] = await db.scalars(select(Delivery).where(Delivery.endpoint_id.is_(None)))
    assert office.vault.open_url(sent.url) == url("order")
    assert f'"webhook_url":"{MASKED}"' in sent.payload
    shown = await office.ask("GET", f"/delivery/{sent.id}")
    assert shown["delivery"]["url"] == url("order")
    assert MARK not in shown["payload"]


async def test_a_mask_leaves_the_address_as_it_is(office: Office) -> None:
    key = (await assistant(office, webhook_url=url("a")))["id"]
    path = f"/assistant/{key}"
    for body in ({"webhook_url": MASKED}, {"name": "B"}, {"webhook_url": url("a")}):
        changed = (await office.ask("PATCH", path, body))["assistant"]
        assert changed["webhook_url"] == url("a")
        assert await whole(office, key) == url("a")
    hook = await office.ask("POST", "/webhook", {"url": url("endpoint")}, status=201)
    told = {"url": MASKED, "description": "x"}
    changed = await office.ask("PATCH", f"/webhook/{hook['id']}", told)
    assert (changed["url"], changed["description"]) == (url("endpoint"), "x")


async def test_a_mask_that_stands_for_nothing_is_refused(office: Office) -> None:
    key = (await assistant(office, webhook_url=url("a")))["id"]
    hook = await office.ask("POST", "/webhook", {"url": url("endpoint")}, status=201)
    other = "https://elsewhere.example/****tail"
    agent = {"agent_id": key, "to_number": NUMBER, "from_number": OURS}
    speaker = {"name": "B", "prompt": "p", "webhook_url": MASKED}
    for method, path, body, field in (
        ("POST", "/assistant", speaker, "webhook_url"),
        ("PATCH", f"/assistant/{key}", {"webhook_url": other}, "webhook_url"),
        ("POST", "/call", {"phone_number": NUMBER, "assistant": speaker}, "assistant.webhook_url"),
        ("POST", "/session", {"assistant": speaker}, "assistant.webhook_url"),
        ("POST", "/session", {"webhook_url": MASKED}, "webhook_url"),
        ("POST", "/voice/outbound/dial", {**agent, "webhook_url": MASKED}, "webhook_url"),
        ("POST", "/webhook", {"url": MASKED}, "url"),
        ("PATCH", f"/webhook/{hook['id']}", {"url": other}, "url"),
    ):
        answer = await office.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), (path, answer.text)
    assert await whole(office, key) == url("a")


async def test_what_is_kept_cannot_be_given_from_outside(office: Office) -> None:
    """Or whoever read a backup could have somebody else's address used."""
    key = (await assistant(office, webhook_url=url("a")))["id"]
    kept = (await stored(office, key))["webhook_url"]
    assert SealedUrl.parse(kept) is not None
    for method, path, body in (
        ("POST", "/assistant", {"name": "B", "prompt": "p", "webhook_url": kept}),
        ("POST", "/webhook", {"url": kept}),
        ("POST", "/session", {"webhook_url": kept}),
    ):
        answer = await office.client.request(method, path, json=body)
        assert answer.status_code == 422, (path, answer.text)


async def test_orders_that_wait_keep_the_address_that_they_were_placed_with(
    office: Office,
) -> None:
    key = (await assistant(office, webhook_url=url("a")))["id"]
    placed = await office.ask("POST", "/call", {"phone_number": NUMBER, "assistant_id": key})
    await office.ask("PATCH", f"/assistant/{key}", {"webhook_url": url("b")})
    async with office.database.reading() as db:
        order = await db.get_one(CallOrder, placed["call"]["id"])
        spec = (await versions.get(db, order.assistant_version_id)).spec
    assert specs.shown(spec, office.vault).webhook_url == url("a")
    assert await whole(office, key) == url("b")


async def test_equal_addresses_of_a_batch_are_sealed_once(office: Office) -> None:
    rows = [{"phone_number": f"+1202555{n:04}", "assistant": inline("batch")} for n in range(50)]
    await office.ask("POST", "/call/batch", {"calls": rows})
    async with office.database.reading() as db:
        query = select(AssistantVersion).where(AssistantVersion.assistant_id.is_(None))
        kept = {row.spec["webhook_url"] for row in await db.scalars(query)}
    [text] = kept
    sealed = SealedUrl.parse(text)
    assert sealed is not None
    assert office.vault.open_url(sealed) == url("batch")


async def test_one_that_no_key_opens_is_masked(office: Office) -> None:
    key = (await assistant(office, webhook_url=url("a")))["id"]
    other = office.vault.seal_url(url("a")).ciphertext[:-8] + "AAAAAAA="
    async with office.database.transaction() as db:
        row = await db.get_one(Assistant, key)
        row.spec = {**row.spec, "webhook_url": str(SealedUrl(MASKED, other))}
        row.updated_at = datetime.now(UTC)
    shown = (await office.ask("GET", f"/assistant/{key}"))["assistant"]
    assert shown["webhook_url"] == MASKED


def test_an_address_in_clear_cannot_be_stored() -> None:
    with pytest.raises(TypeError, match="not sealed"):
        SealedAddress().process_bind_param(url("clear"), sqlite.dialect())  # type: ignore[arg-type]
