"""Addresses of webhooks that the release before kept in clear: sealed by the first start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, select, text

from control_plane.assistants import specs
from control_plane.db import migrate as migrations
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.db.models.assistant import AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.session import Session
from control_plane.db.models.webhook import Delivery, DeliveryTry, WebhookEndpoint
from control_plane.domain.ids import new_id
from control_plane.domain.order_request import EventReceiver
from tests import dumps

pytestmark = pytest.mark.db

AT = 1_700_000_000_000_000  # µs
MARK = "B0Zx81SecretPath"
HOST = "https://hooks.example.com"
MASKED = f"{HOST}/****tail"
MANY = 1_203
"""More than are changed at once."""
SPEC = {"name": "Ann", "prompt": "Be kind."}


def url(place: str) -> str:
    return f"{HOST}/services/{place}/{MARK}tail"


def compact(value: Any) -> str:
    """As this and the release before write JSON; the last migration left blanks."""
    return msgspec.json.encode(value).decode()


def fill(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    tables = MetaData()
    tables.reflect(connection)
    for name, values in rows.items():
        connection.execute(tables.tables[name].insert(), values)


def before(owner: str) -> dict[str, list[dict[str, Any]]]:
    """Return rows with an address wherever the release before kept one."""
    stamps = {"created_at": AT, "updated_at": AT}
    own = {"organization_id": owner}
    secret, endpoint, session = new_id(), new_id(), new_id()
    order = {
        **own, **stamps, "status": "completed", "to_phone_number": "+12025550123",
        "assistant_version": 0, "assistant_version_id": "v-compact", "prompt_variables": "{}",
        "call_metadata": "{}", "force_now": False, "epoch": 0, "calls_count": 0,
        "uncounted_in_a_row": 0, "event_count": 0, "retry_config": "{}", "zones": "[]",
    }  # fmt: skip
    delivery = {
        **own, "event_type": "call.completed", "state": "delivered", "tries": 1, "failures": 0,
        "claim": 1, "receiver": f"{owner} {HOST}:None", "created_at": AT,
    }  # fmt: skip
    told = {"call": {"id": "c", "assistant": {**SPEC, "webhook_url": url("told")}, "cost": 1.50}}
    talk = {"session": {"webhook_url": url("talk"), "assistant": {"webhook_url": None}}}
    specs_before = {
        "v-compact": compact({**SPEC, "webhook_url": url("compact")}),
        "v-blanks": json.dumps({**SPEC, "webhook_url": url("blanks")}),
        "v-none": compact({**SPEC, "webhook_url": None}),
        "v-absent": compact(SPEC),
    }
    receiver = {"url": url("order"), "types": ["call.completed"]}
    return {
        "organization": [
            {"id": owner, "name": "a", "consent_required": False, "created_at": AT,
             "allowed_number_types": "[]"}
        ],
        "secret": [{"id": secret, **own, **stamps, "ciphertext": "c", "hint": ""}],
        "webhook_endpoint": [
            {"id": endpoint, **own, **stamps, "url": url("endpoint"), "event_types": "[]",
             "secret_id": secret}
        ],
        "assistant": [
            {"id": "a", **own, **stamps, "name": "Ann", "version": 1, "is_default": True,
             "spec": specs_before["v-compact"]}
        ],
        "assistant_version": [
            {"id": key, **own, "version": 0, "created_at": AT, "spec": spec}
            for key, spec in specs_before.items()
        ],
        "call_order": [
            {**order, "id": "o-told", "events_to": compact(receiver)},
            {**order, "id": "o-null", "events_to": "null"},
            {**order, "id": "o-none", "events_to": None},
        ],
        "session": [
            {"id": session, **own, **stamps, "direction": "browser", "assistant_version": 0,
             "assistant_version_id": "v-none", "prompt_variables": "{}", "call_metadata": "{}",
             "status": "queued", "epoch": 0, "room_name": "r", "last_event_seq": 0,
             "event_count": 0, "webhook_url": url("session")}
        ],
        "delivery": [
            {**delivery, "id": f"d{n:05}", "message_id": f"m{n}", "endpoint_id": None,
             "url": url(f"d{n % 3}"), "payload": compact([talk, told][n % 2])}
            for n in range(MANY)
        ],
        "delivery_try": [
            {"id": "t1", "delivery_id": "d00000", "number": 1, "at": AT, "duration_ms": 1,
             "status": 404, "error": None, "body": f"Cannot POST /services/d0/{MARK}tail"},
            {"id": "t2", "delivery_id": "d00001", "number": 1, "at": AT, "duration_ms": 1,
             "status": 200, "error": None, "body": "ok"},
        ],
        "idempotent_answer": [
            {**own, "key": f"k{n}", "operation": "placeCall", "body_sha256": "0", "status": 200,
             "answer": compact(told), "created_at": AT}
            for n in range(3)
        ],
    }  # fmt: skip


@pytest.fixture
def owner() -> str:
    return new_id()


async def old(
    url_of: str, folder: Path, rows: dict[str, list[dict[str, Any]]], *, at: str = "0025"
) -> Database:
    """Return a database with the schema `at`."""
    database = Database(url_of, wake_folder=folder / "wake")
    await migrate(database, to=at)
    async with database.engine.begin() as connection:
        await connection.run_sync(fill, rows)
    return database


async def test_every_address_is_sealed_where_it_is_kept(
    bare_url: str, tmp_path: Path, vault: Vault, owner: str
) -> None:
    database = await old(bare_url, tmp_path, before(owner))
    assert MARK in await dumps.everything(database)
    await migrate(database, vault=vault)
    assert MARK not in await dumps.everything(database)
    async with database.reading() as db:
        [endpoint] = await db.scalars(select(WebhookEndpoint))
        assert vault.open_url(endpoint.url) == url("endpoint")
        [session] = await db.scalars(select(Session))
        assert session.webhook_url is not None
        assert vault.open_url(session.webhook_url) == url("session")
        orders = {row.id: row.events_to for row in await db.scalars(select(CallOrder))}
        receiver = msgspec.convert(orders["o-told"], EventReceiver)
        assert receiver.types == ("call.completed",)
        assert vault.open_url(receiver.url) == url("order")
        assert orders["o-null"] is orders["o-none"] is None
        for key, kept in (
            ("v-compact", url("compact")),
            ("v-blanks", url("blanks")),
            ("v-none", None),
            ("v-absent", None),
        ):
            spec = (await db.get_one(AssistantVersion, key)).spec
            assert specs.shown(specs.load(spec), vault).webhook_url == kept
            assert spec["prompt"] == "Be kind."
        sent = list(await db.scalars(select(Delivery).order_by(Delivery.id)))
        bodies = [row.body for row in await db.scalars(select(DeliveryTry).order_by("id"))]
    assert [vault.open_url(each.url) for each in sent] == [url(f"d{n % 3}") for n in range(MANY)]
    assert len({each.url for each in sent}) == 3, "equal ones are sealed once"
    talk = msgspec.json.decode(sent[0].payload)["session"]
    assert (talk["webhook_url"], talk["assistant"]["webhook_url"]) == (MASKED, None)
    told = msgspec.json.decode(sent[1].payload)["call"]
    assert (told["assistant"]["webhook_url"], told["cost"]) == (MASKED, 1.5)
    assert bodies == ["Cannot POST ****", "ok"]
    await database.close()


async def test_no_address_is_lost_on_the_way_back(
    bare_url: str, tmp_path: Path, vault: Vault, owner: str
) -> None:
    rows = before(owner)
    database = await old(bare_url, tmp_path, rows)
    await migrate(database, vault=vault)
    async with database.engine.begin() as connection:
        await connection.run_sync(downgrade, vault)
    for table, column in (
        ("webhook_endpoint", "url"), ("session", "webhook_url"), ("delivery", "url"),
        ("call_order", "events_to"), ("assistant", "spec"), ("assistant_version", "spec"),
    ):  # fmt: skip
        async with database.engine.connect() as connection:
            query = text(f"SELECT id, {column} FROM {table}")
            found = {key: _decoded(value) for key, value in await connection.execute(query)}
        assert found == {row["id"]: _decoded(row[column]) for row in rows[table]}, table
    await database.close()


def _decoded(kept: str | None) -> Any:
    return json.loads(kept) if kept is not None and kept[0] in "{n" else kept


def downgrade(connection: Connection, vault: Vault, *, to: str = "0025") -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations._SCRIPTS))
    config.attributes.update(connection=connection, vault=vault)
    command.downgrade(config, to)


async def test_without_a_vault_nothing_is_changed(
    bare_url: str, tmp_path: Path, owner: str
) -> None:
    database = await old(bare_url, tmp_path, before(owner))
    with pytest.raises(RuntimeError, match="no vault"):
        await migrate(database)
    async with database.engine.connect() as connection:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        kept = await connection.scalar(text("SELECT url FROM webhook_endpoint"))
    assert (revision, kept) == ("0025", url("endpoint"))
    await database.close()
