"""Webhooks by API: endpoints, secrets, deliveries, replays, each within one organization."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from control_plane.app import Resources, create_public_app, open_resources
from control_plane.db.models.call_order import CallOrder
from control_plane.domain.ids import new_id
from control_plane.http.streams import IDLE
from control_plane.keys.making import make_key
from control_plane.sessions.history import announce
from control_plane.settings import ApiSettings, Settings, StorageSettings
from control_plane.webhooks import feed
from process.addresses import HttpSettings
from process.safe_http import Limits, Outbound
from scheduler.deliver import Deliverer
from sip.settings import LiveKitSettings
from tests import factories
from tests.apps import application
from tests.webhooks.conftest import Receiver, verified

pytestmark = pytest.mark.db

NOWHERE = "01900000-0000-7000-8000-000000000000"


class Office:
    """The API over a real database, a client of it, and the scheduler's part."""

    def __init__(self, app: Litestar, resources: Resources, key: str, owner: str):
        self._app = app
        self.resources = resources
        self.client = self._client(key)
        self.owner = owner
        self.outbound = Outbound(resources.allowed, Limits(total_s=10.0))
        self.deliverer = Deliverer(
            resources.database,
            resources.vault,
            factories.views(),
            self.outbound,
            on_room=lambda: None,
        )

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Return the decoded answer, which must have this status."""
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def create(self, url: str, **fields: Any) -> dict[str, Any]:
        """Return a new endpoint."""
        made: dict[str, Any] = await self.ask(
            "POST", "/webhook", {"url": url, **fields}, status=201
        )
        return made

    async def happen(self, *kinds: str) -> str:
        """Let events happen to a new order, deliver them, and return the order's id."""
        database = self.resources.database
        order = await factories.order(database, self.resources.vault, self.owner)
        for kind in kinds:
            async with database.transaction() as session:
                row = await session.get_one(CallOrder, order.id)
                announce(session, row, None, kind, at=datetime.now(UTC))
        await self.deliver()
        return order.id

    async def deliver(self) -> None:
        """Relay and deliver what is due."""
        while await self.deliverer.deliver_due():
            await self.deliverer.settled()

    async def newcomer(self, *scopes: str) -> httpx.AsyncClient:
        """Return a client with the key of another organization."""
        database = self.resources.database
        owner = await factories.organization(database)
        row, key = make_key(owner, name="x", scopes=list(scopes), now=datetime.now(UTC))
        async with database.transaction() as session:
            session.add(row)
        return self._client(key)

    def _client(self, key: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app),
            base_url="http://api",
            headers={"Authorization": f"Bearer {key}"},
        )


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """A first start, with loopback allowed."""
    settings = Settings(
        storage=StorageSettings(data=str(tmp_path / "data")),
        api=ApiSettings(embedded=True, worker_health_url="http://127.0.0.1:1/worker"),
        livekit=LiveKitSettings(url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32),
        outbound=HttpSettings("127.0.0.0/8"),
    )
    async with open_resources(settings) as resources:
        content = (settings.storage.folder / "credentials.toml").read_bytes()
        credentials = msgspec.toml.decode(content, type=dict[str, str])
        with application(create_public_app, resources) as app:
            made = Office(app, resources, credentials["api_key"], credentials["organization_id"])
            async with made.client:
                yield made
            await made.deliverer.finish(0.0)
            await made.outbound.aclose()


async def test_an_endpoint_from_creation_to_deletion(office: Office, receiver: Receiver) -> None:
    made = await office.create(receiver.url, description="CRM", event_types=["call.completed"])
    assert made["secret"].startswith("whsec_")
    shown = await office.ask("GET", f"/webhook/{made['id']}")
    assert shown["secret"] == f"****{made['secret'][-4:]}"
    assert (await office.ask("GET", "/webhook"))["webhooks"] == [shown]
    changed = await office.ask(
        "PATCH", f"/webhook/{made['id']}", {"event_types": [], "description": None}
    )
    assert (changed["event_types"], changed["description"]) == ([], None)
    assert changed["url"] == receiver.url
    await office.ask("DELETE", f"/webhook/{made['id']}", status=204)
    await office.ask("GET", f"/webhook/{made['id']}", status=404)
    await office.happen("call.ringing")
    assert receiver.messages == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://[::1]/"}, "url"),
        ({"url": "http://2130706433/"}, "url"),
        ({"url": "http://user:pw@example.com/"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "https://example.com/", "event_types": ["call.complete"]}, "event_types"),
        ({"url": "https://example.com/", "event_types": ["*"]}, "event_types"),
        ({"url": "https://example.com/", "colour": "red"}, "colour"),
        ({}, "url"),
    ],
)
async def test_what_cannot_be_an_endpoint(office: Office, body: Any, field: str) -> None:
    problem = await office.ask("POST", "/webhook", body, status=422)
    assert problem["field"] == field
    assert (await office.ask("GET", "/webhook"))["webhooks"] == []


async def test_a_test_message_and_its_log(office: Office, receiver: Receiver) -> None:
    made = await office.create(receiver.url, event_types=["call.completed"])
    sent = await office.ask("POST", f"/webhook/{made['id']}/test", status=202)
    assert sent["status"] == "pending"
    receiver.then(500)
    await office.deliver()
    seen = await office.ask("GET", f"/delivery/{sent['id']}")
    assert seen["delivery"]["tries"] == 1
    assert seen["delivery"]["next_at"] is not None
    [first] = seen["tries"]
    assert (first["number"], first["status"], first["error"]) == (1, 500, None)
    assert verified(receiver.messages[0], made["secret"])["type"] == "webhook.test"
    assert seen["payload"].encode() == receiver.messages[0].body
    again = await office.ask("POST", f"/delivery/{sent['id']}/replay", status=202)
    assert again["message_id"] == sent["message_id"]
    await office.deliver()
    seen = await office.ask("GET", f"/delivery/{sent['id']}")
    assert seen["delivery"]["status"] == "delivered"
    assert [each["number"] for each in seen["tries"]] == [1, 2]
    assert receiver.ids == [sent["message_id"]] * 2


async def test_deliveries_are_found_page_by_page(office: Office, receiver: Receiver) -> None:
    first, second = await office.create(receiver.url), await office.create(f"{receiver.url}?b")
    receiver.then(500)
    order = await office.happen("call.initiating", "call.ringing")
    other = await office.happen("call.initiating")
    page = await office.ask("GET", "/delivery?limit=4")
    rest = await office.ask("GET", f"/delivery?limit=4&cursor={page['next_cursor']}")
    found = [*page["deliveries"], *rest["deliveries"]]
    assert len({each["id"] for each in found}) == 6
    assert rest["next_cursor"] is None
    assert {each["call_id"] for each in found} == {order, other}
    of_one = await office.ask("GET", f"/webhook/{first['id']}/deliveries?call_id={order}")
    assert len(of_one["deliveries"]) == 2
    assert {each["webhook_id"] for each in of_one["deliveries"]} == {first["id"]}
    waiting = await office.ask("GET", "/delivery?status=pending&status=exhausted")
    assert len(waiting["deliveries"]) == 1
    assert (await office.ask("GET", "/delivery?status=gone", status=422))["field"] == "status"
    assert second["id"] in {each["webhook_id"] for each in found}


async def test_a_disabled_endpoint_is_enabled_and_catches_up(
    office: Office, receiver: Receiver
) -> None:
    made = await office.create(receiver.url)
    since = datetime.now(UTC) - timedelta(minutes=1)
    receiver.then(410)
    await office.happen("call.initiating", "call.ringing", "call.completed")
    path = f"/webhook/{made['id']}"
    shown = await office.ask("GET", path)
    assert "410" in shown["disabled_reason"]
    query = f"since={since.isoformat().replace('+00:00', 'Z')}"
    for action in ("test", f"replay?{query}"):
        problem = await office.ask("POST", f"{path}/{action}", status=409)
        assert "enable" in problem["detail"]
    shown = await office.ask("POST", f"{path}/enable")
    assert shown["disabled_at"] is None
    moved = await office.ask("PATCH", path, {"url": f"{receiver.url}/new"})
    assert moved["url"].endswith("/new")
    before = list(receiver.ids)
    assert (await office.ask("POST", f"{path}/replay?{query}", status=202)) == {"replayed": 3}
    await office.deliver()
    kinds = [json.loads(each.body)["type"] for each in receiver.messages[1:]]
    assert kinds == ["call.initiating", "call.ringing", "call.completed"]
    assert receiver.ids[1] == before[0]
    assert (await office.ask("POST", f"{path}/replay?{query}", status=202)) == {"replayed": 0}
    await office.ask("POST", f"{path}/replay?since=2026-01-01T00:00:00", status=422)
    await office.ask("POST", f"{path}/replay", status=422)


async def test_secrets_rotate(office: Office, receiver: Receiver) -> None:
    made = await office.create(receiver.url)
    path = f"/webhook/{made['id']}/rotate"
    rotated = await office.ask("POST", f"{path}?grace_secs=60")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None
    await office.happen("call.ringing")
    assert verified(receiver.messages[0], made["secret"])
    assert verified(receiver.messages[0], rotated["secret"])
    await office.ask("POST", f"{path}?grace_secs=-1", status=422)
    default = await office.ask("GET", "/webhook/secret")
    assert (await office.ask("GET", "/webhook/secret")) == default
    newer = await office.ask("POST", "/webhook/secret/rotate")
    assert newer["secret"] != default["secret"]
    assert (await office.ask("GET", "/webhook/secret"))["secret"] == newer["secret"]


async def test_events_are_followed(office: Office) -> None:
    order = await office.happen("call.initiating", "call.ringing")
    page = await office.ask("GET", "/webhook/events?limit=1")
    assert [each["type"] for each in page["events"]] == ["call.initiating"]
    rest = await office.ask("GET", f"/webhook/events?after={page['next_after']}")
    assert [each["type"] for each in rest["events"]] == ["call.ringing"]
    assert rest["events"][0]["data"]["call_id"] == order
    none = await office.ask("GET", "/webhook/events?types=campaign.*")
    assert none == {"events": [], "next_after": None}
    assert (await office.ask("GET", "/webhook/events?types=x", status=422))["field"] == "types"
    database, shared = office.resources.database, office.resources.feed
    stream = feed.stream(database, shared, office.owner, after=None, types=["call.*"])
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    while not waiting.done() or waiting.result() == IDLE:
        if waiting.done():
            waiting = asyncio.ensure_future(anext(stream))
        await office.happen("call.completed")
        await asyncio.wait([waiting], timeout=1.0)
    assert b"event: call.completed\n" in waiting.result()
    await stream.aclose()
    all_of_it = feed.stream(database, shared, office.owner, after=page["next_after"], types=[])
    assert b"event: call.ringing\n" in await anext(all_of_it)
    await all_of_it.aclose()


async def test_no_organization_sees_anothers(office: Office, receiver: Receiver) -> None:
    made = await office.create(receiver.url)
    await office.happen("call.ringing")
    [delivery] = (await office.ask("GET", "/delivery"))["deliveries"]
    since = "since=2026-01-01T00:00:00Z"
    paths = [
        ("GET", f"/webhook/{made['id']}"),
        ("DELETE", f"/webhook/{made['id']}"),
        ("GET", f"/webhook/{made['id']}/deliveries"),
        ("POST", f"/webhook/{made['id']}/rotate"),
        ("POST", f"/webhook/{made['id']}/enable"),
        ("POST", f"/webhook/{made['id']}/test"),
        ("POST", f"/webhook/{made['id']}/replay?{since}"),
        ("GET", f"/delivery/{delivery['id']}"),
        ("POST", f"/delivery/{delivery['id']}/replay"),
    ]
    async with await office.newcomer("admin", "calls") as stranger:
        for method, path in paths:
            assert (await stranger.request(method, path)).status_code == 404, path
        answer = await stranger.patch(f"/webhook/{made['id']}", json={"url": receiver.url})
        assert answer.status_code == 404
        assert (await stranger.get("/webhook")).json() == {"webhooks": []}
        assert (await stranger.get("/delivery")).json()["deliveries"] == []
        assert (await stranger.get("/webhook/events")).json()["events"] == []
    async with await office.newcomer("calls") as caller:
        assert (await caller.get("/webhook")).status_code == 403
        assert (await caller.get("/delivery")).status_code == 403
    for method, path in paths:
        nowhere = path.replace(made["id"], NOWHERE).replace(delivery["id"], NOWHERE)
        assert (await office.client.request(method, nowhere)).status_code == 404, path


async def test_a_message_of_a_deleted_endpoint_goes_nowhere(
    office: Office, receiver: Receiver
) -> None:
    made = await office.create(receiver.url)
    await office.happen("call.ringing")
    [delivery] = (await office.ask("GET", "/delivery"))["deliveries"]
    await office.ask("DELETE", f"/webhook/{made['id']}", status=204)
    problem = await office.ask("POST", f"/delivery/{delivery['id']}/replay", status=409)
    assert "deleted" in problem["detail"]
    assert new_id() not in receiver.ids
