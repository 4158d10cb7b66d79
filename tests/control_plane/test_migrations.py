"""From an empty database, and from one of the release before with its orders in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, select

from control_plane.assistants import versions
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.organization import Organization
from control_plane.db.models.recording import Recording
from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.ids import new_id
from scheduler.claim import claim
from tests import factories

pytestmark = pytest.mark.db

SPEC = {"name": "Ann", "prompt": "Be kind."}
PLACED = 1_700_000_000_000_000  # µs


def order(owner: str, **fields: Any) -> dict[str, Any]:
    """Return a row of the release before."""
    return {
        "id": new_id(),
        "organization_id": owner,
        "direction": "outbound",
        "status": "queued_for_calling",
        "to_phone_number": factories.NUMBER,
        "assistant_version": 0,
        "spec": json.dumps(SPEC),
        "prompt_variables": "{}",
        "call_metadata": '{"a": "b"}',
        "force_now": False,
        "epoch": 0,
        "calls_count": 0,
        "uncounted_in_a_row": 0,
        "event_count": 0,
        "due_at": PLACED,
        "created_at": PLACED,
        "updated_at": PLACED,
        **fields,
    }


def fill(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Write rows as the release before wrote them."""
    tables = MetaData()
    tables.reflect(connection)
    for name, values in rows.items():
        connection.execute(tables.tables[name].insert(), values)


async def test_orders_of_the_release_before_are_carried_over(bare_url: str, tmp_path: Path) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0001")
    owner, speaker = new_id(), new_id()
    waiting = order(owner)
    named = order(owner, assistant_id=speaker, assistant_version=3, spec=json.dumps(
        {**SPEC, "prompt": "As it was."}
    ))  # fmt: skip
    done = order(owner, status="completed", due_at=None, calls_count=1)
    stamps = {"created_at": PLACED, "updated_at": PLACED}
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                "organization": [{"id": owner, "name": "a", "created_at": PLACED}],
                "assistant": [
                    {
                        "id": speaker, "organization_id": owner, "name": "Ann", "version": 4,
                        "spec": json.dumps(SPEC), "is_default": True, **stamps,
                    }
                ],
                "trunk": [
                    {
                        "id": new_id(), "organization_id": owner, "direction": "outbound",
                        "name": "t", "address": "127.0.0.1", "transport": "udp",
                        "numbers": json.dumps([factories.OURS]), "allowed_addresses": "[]",
                        "is_default": True, "sip_trunk_id": "ST_1", **stamps,
                    }
                ],
                "call_order": [waiting, named, done],
            },
        )  # fmt: skip
    await migrate(database)
    async with database.reading() as session:
        rows = {row.id: row for row in await session.scalars(select(CallOrder))}
        assert set(rows) == {waiting["id"], named["id"], done["id"]}
        [current] = await session.scalars(select(Assistant))
        assert current.version_id is not None
        assert (await versions.get(session, current.version_id)).spec.prompt == "Be kind."
        kept = await versions.get(session, rows[named["id"]].assistant_version_id)
        assert kept.spec.prompt == "As it was."
        views = await factories.views().load(session, list(rows.values()))
    assert all(view.metadata == {"a": "b"} for view in views)
    assert rows[done["id"]].status is OrderStatus.COMPLETED
    assert rows[done["id"]].deadline_at is None
    assert rows[waiting["id"]].deadline_at is not None
    await database.close()


async def test_a_waiting_order_of_the_release_before_is_dialled(
    bare_url: str, tmp_path: Path
) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0001")
    owner = new_id()
    now = int(factories.ago().timestamp() * 1_000_000)
    row = order(owner, due_at=now, created_at=now, updated_at=now)
    trunk = {
        "id": new_id(), "organization_id": owner, "direction": "outbound", "name": "simulator",
        "address": "127.0.0.1", "transport": "udp", "numbers": json.dumps([factories.OURS]),
        "allowed_addresses": "[]", "is_default": True, "sip_trunk_id": "ST_1",
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                "organization": [{"id": owner, "name": "a", "created_at": now}],
                "trunk": [trunk],
                "call_order": [row],
            },
        )
    await migrate(database)
    claimed = []
    while some := await claim(database, limit=5):
        claimed += some
    # Its lane was not known before: the first look gives it one, the second takes it.
    assert [attempt.order_id for attempt in claimed] in ([], [row["id"]])
    claimed += await claim(database, limit=5)
    assert [attempt.order_id for attempt in claimed] == [row["id"]]
    await database.close()


async def test_no_organization_of_the_release_before_is_suspended(
    bare_url: str, tmp_path: Path
) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0010")
    owner = {"id": new_id(), "name": "a", "consent_required": False, "created_at": PLACED}
    async with database.engine.begin() as connection:
        await connection.run_sync(fill, {"organization": [{**owner, "allowed_number_types": "[]"}]})
    await migrate(database)
    async with database.reading() as session:
        [row] = await session.scalars(select(Organization))
    assert (row.id, row.suspended_at) == (owner["id"], None)
    await database.close()


async def test_trunks_of_our_own_are_marked_and_no_others(bare_url: str, tmp_path: Path) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0008")
    first, second = new_id(), new_id()

    def trunk(name: str, direction: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": new_id(), "organization_id": first, "direction": direction, "name": name,
            "address": None, "transport": "udp", "username": None, "numbers": "[]",
            "allowed_addresses": "[]", "is_default": True, "calls_per_second": 1.0,
            "max_concurrent_calls": 10, "price_per_minute": 0.0, "deleted_at": None,
            "created_at": PLACED, "updated_at": PLACED, **fields,
        }  # fmt: skip

    ours = trunk("simulator", "outbound", address="127.0.0.1:5090")
    line = trunk("inbound", "inbound", allowed_addresses='["127.0.0.0/8"]')
    later = {"created_at": PLACED + 1}
    others = [
        trunk("simulator", "outbound", address="192.0.2.1", **later),
        trunk("inbound", "inbound", allowed_addresses='["192.0.2.0/24"]', **later),
        trunk("inbound", "inbound", username="carrier"),  # ours once, given to a carrier
        trunk("inbound", "inbound", allowed_addresses='["192.0.2.0/24"]'),
        trunk("inbound", "inbound", username="softphone", deleted_at=PLACED),
        trunk("inbound", "inbound", username="softphone", organization_id=second),
    ]
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                "organization": [
                    {"id": each, "name": each, "consent_required": False, "created_at": PLACED - i}
                    for i, each in enumerate((first, second))
                ],
                "trunk": [ours, line, *others],
            },
        )
    await migrate(database)
    async with database.reading() as session:
        marked = {row.id: row.purpose for row in await session.scalars(select(Trunk))}
    assert marked == {
        ours["id"]: Purpose.SIMULATOR,
        line["id"]: Purpose.LOCAL_LINE,
        **{each["id"]: None for each in others},
    }
    await database.close()


async def test_recordings_get_rows_of_their_own(bare_url: str, tmp_path: Path) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0012")
    owner, called = new_id(), new_id()

    def attempt(state: str, **fields: Any) -> dict[str, Any]:
        key = new_id()
        columns = (
            "finished_at", "duration_ms", "path", "size", "sha256", "intact", "expires_at",
            "deleted_at",
        )  # fmt: skip
        return {
            "id": key, "order_id": called, "organization_id": owner, "ordinal": 1, "counted": True,
            "status": "completed", "epoch": 1, "room_name": key, "participant_identity": key,
            "to_phone_number": factories.NUMBER, "from_phone_number": factories.OURS,
            "last_event_seq": 1, "created_at": PLACED, "recording_state": state,
            **{f"recording_{name}": fields.get(name) for name in columns},
            **{f"mix_{name}": fields.get(f"mix_{name}") for name in ("path", "size", "sha256")},
        }  # fmt: skip

    sent = {"finished_at": PLACED, "duration_ms": 5, "sha256": "ab"}
    stored = attempt("stored", **sent, path="a.ogg", size=2**40, mix_path="m", mix_size=3,
                     mix_sha256="cd", intact=True, expires_at=PLACED + 1)  # fmt: skip
    spooling = attempt("spooling")
    deleted = attempt("deleted", **sent, size=1, deleted_at=PLACED)
    lost = attempt("absent", **sent, intact=False)
    never = attempt("absent")
    rows = [stored, spooling, deleted, lost, never]
    placed = order(owner, id=called, zones="[]", retry_config="{}", assistant_version_id=new_id())
    del placed["spec"]
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                "organization": [
                    {"id": owner, "name": "a", "consent_required": False, "created_at": PLACED,
                     "allowed_number_types": "[]"}
                ],
                "call_order": [placed],
                "attempt": rows,
            },
        )  # fmt: skip
    await migrate(database)
    async with database.reading() as session:
        found = {row.attempt_id: row for row in await session.scalars(select(Recording))}
    assert set(found) == {row["id"] for row in rows if row is not never}
    for row in (stored, spooling, deleted, lost):
        kept = found[row["id"]]
        for name in ("state", "duration_ms", "path", "size", "sha256", "intact"):
            assert getattr(kept, name) == row[f"recording_{name}"], name
        for name in ("mix_path", "mix_size", "mix_sha256"):
            assert getattr(kept, name) == row[name], name
        for name in ("finished_at", "expires_at", "deleted_at"):
            at = getattr(kept, name)
            stamp = row[f"recording_{name}"]
            assert (at is None) if stamp is None else (at.timestamp() * 1e6 == stamp), name
    await database.close()
