"""From an empty database, and from one of the release before with its orders in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, MetaData, select

from control_plane.assistants import versions
from control_plane.assistants.specs import load
from control_plane.browser import repository as browser_sessions
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.db.models.call_order import CallOrder
from control_plane.db.models.history import CallEventRow, OutboxRow
from control_plane.db.models.job import JobRow
from control_plane.db.models.organization import Organization
from control_plane.db.models.recording import Recording
from control_plane.db.models.trunk import Purpose, Trunk
from control_plane.db.models.webhook import Delivery
from control_plane.domain.call_order import OrderStatus
from control_plane.domain.ids import new_id
from control_plane.domain.job import ProbeResult, ProviderPart
from control_plane.domain.providers import Stt
from control_plane.orders import repository
from control_plane.trunks.repository import calls_on
from scheduler.claim import claim
from tests import call_rows, factories

pytestmark = [pytest.mark.db, pytest.mark.engines]

SPEC = {"name": "Ann", "prompt": "Be kind."}
PLACED = 1_700_000_000_000_000  # µs
USAGE = '{"parts": [], "cost": {"usd": "0.500000", "unpriced": []}}'


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


def attempt(owner: str, called: str, status: str, **fields: Any) -> dict[str, Any]:
    """Return a row of the releases in which an attempt was all of a call."""
    key = new_id()
    nothing = dict.fromkeys(
        (
            "agent_identity", "trunk_id", "dispatch_lease_until", "call_lease_until",
            "brief_taken_at", "agent_ready_at", "invite_at", "dialing_at", "answered_at",
            "agent_ended_at", "ended_at", "closed_at", "room_deleted_at", "dial_error",
            "sip_status", "sip_reason", "sip_call_id", "result", "ended_by", "end_reason",
            "detail", "usage",
        )
    )  # fmt: skip
    return {
        **nothing, "id": key, "order_id": called, "organization_id": owner, "ordinal": 1,
        "counted": True, "status": status, "epoch": 1, "room_name": f"call-{key}",
        "participant_identity": f"phone-{key}", "to_phone_number": factories.NUMBER,
        "from_phone_number": factories.OURS, "last_event_seq": 1, "created_at": PLACED, **fields,
    }  # fmt: skip


def office(owner: str, *orders: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return an organization and its orders, as the releases with attempts wrote them."""
    for each in orders:
        each.pop("spec", None)
        each |= {"zones": "[]", "retry_config": "{}", "assistant_version_id": new_id()}
    speakers = [
        {"id": each["assistant_version_id"], "organization_id": owner, "version": 0,
         "spec": json.dumps(SPEC), "created_at": PLACED}
        for each in orders
    ]  # fmt: skip
    who = {"id": owner, "name": "a", "consent_required": False, "created_at": PLACED}
    return {
        "organization": [{**who, "allowed_number_types": "[]"}],
        "assistant_version": speakers,
        "call_order": list(orders),
    }


async def test_recordings_get_rows_of_their_own(bare_url: str, tmp_path: Path) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0012")
    owner, called = new_id(), new_id()

    def recorded(state: str, **fields: Any) -> dict[str, Any]:
        columns = (
            "finished_at", "duration_ms", "path", "size", "sha256", "intact", "expires_at",
            "deleted_at",
        )  # fmt: skip
        return attempt(
            owner,
            called,
            "completed",
            recording_state=state,
            **{f"recording_{name}": fields.get(name) for name in columns},
            **{f"mix_{name}": fields.get(f"mix_{name}") for name in ("path", "size", "sha256")},
        )

    sent = {"finished_at": PLACED, "duration_ms": 5, "sha256": "ab"}
    stored = recorded("stored", **sent, path="a.ogg", size=2**40, mix_path="m", mix_size=3,
                      mix_sha256="cd", intact=True, expires_at=PLACED + 1)  # fmt: skip
    spooling = recorded("spooling")
    deleted = recorded("deleted", **sent, size=1, deleted_at=PLACED)
    lost = recorded("absent", **sent, intact=False)
    never = recorded("absent")
    rows = [stored, spooling, deleted, lost, never]
    async with database.engine.begin() as connection:
        await connection.run_sync(fill, {**office(owner, order(owner, id=called)), "attempt": rows})
    await migrate(database)
    async with database.reading() as session:
        found = {row.session_id: row for row in await session.scalars(select(Recording))}
    assert set(found) == {row["id"] for row in rows if row is not never}
    for row in (stored, spooling, deleted, lost):
        kept = found[row["id"]]
        for name in ("state", "duration_ms", "path", "size", "sha256", "intact"):
            assert getattr(kept, name) == row[f"recording_{name}"], name
        for name in ("mix_path", "mix_size", "mix_sha256"):
            assert getattr(kept, name) == row[name], name
        for name in ("finished_at", "expires_at", "deleted_at"):
            at = getattr(kept, name)
            assert at == instant(row[f"recording_{name}"]), name
    await database.close()


def instant(microseconds: int | None) -> datetime | None:
    """Return an instant as it was stored."""
    if microseconds is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


async def test_calls_become_sessions_with_legs(bare_url: str, tmp_path: Path, vault: Vault) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0013")
    owner, out, inward = new_id(), new_id(), new_id()
    over = {"closed_at": PLACED + 9, "ended_at": PLACED + 8, "room_deleted_at": PLACED + 10}
    busy = attempt(owner, out, "error", **over, counted=False, trunk_id="t", invite_at=PLACED,
                   dialing_at=PLACED + 1, dial_error="busy", sip_status=486,
                   sip_reason="Busy", end_reason="not_answered", ended_by="system")  # fmt: skip
    human = attempt(owner, out, "completed", **over, ordinal=2, trunk_id="t", dialing_at=PLACED + 2,
                    answered_at=PLACED + 3, agent_ended_at=PLACED + 7, agent_ready_at=PLACED + 1,
                    result="human", ended_by="user", detail="d", sip_call_id="SCL_1",
                    usage=USAGE)  # fmt: skip
    live = attempt(owner, out, "ringing", ordinal=3, trunk_id="t", dialing_at=PLACED + 4,
                   dispatch_lease_until=PLACED + 5, epoch=3)  # fmt: skip
    came = attempt(owner, inward, "ongoing", agent_identity="agent", answered_at=PLACED,
                   call_lease_until=PLACED + 5, brief_taken_at=PLACED)  # fmt: skip
    orders = order(owner, id=out), order(owner, id=inward, direction="inbound", status="calling")
    event = {"id": new_id(), "order_id": out, "attempt_id": human["id"], "sequence": 1,
             "type": "agent_ready", "at": PLACED, "stored_at": PLACED, "data": "{}"}  # fmt: skip
    ringing = {**event, "id": new_id(), "order_id": inward, "attempt_id": came["id"]}
    told = {"id": new_id(), "organization_id": owner, "sequence": 1, "type": "call.ringing",
            "data": "{}", "created_at": PLACED}  # fmt: skip
    sent = {"message_id": "m", "organization_id": owner, "url": "u", "receiver": "r", "tries": 0,
            "event_type": "call.ringing", "sequence": 1, "state": "pending", "failures": 0,
            "claim": 0, "payload": "{}", "created_at": PLACED}  # fmt: skip
    kept = {"attempt_id": human["id"], "state": "stored", "path": "a.ogg"}
    rows = [busy, human, live, came]
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                **office(owner, *orders),
                "attempt": rows,
                "call_event": [event, ringing],
                "outbox": [told | {"order_id": inward}, told | {"id": new_id(), "order_id": out}],
                "delivery": [sent | {"id": new_id(), "order_id": each} for each in (inward, out)],
                "recording": [kept],
            },
        )
    await migrate(database, vault=vault)
    await migrate(database)
    versions_of = {each["id"]: each["assistant_version_id"] for each in orders}
    instants = {name for name in busy if name.endswith(("_at", "_until"))}
    async with database.reading() as session:
        for row in rows:
            found = await call_rows.get(session, row["id"])
            unordered = {"order_id", "ordinal", "counted"} if row is came else set()
            for name in row.keys() - instants - {"id", "usage"} - unordered:
                assert getattr(found, name) == row[name], name
            for name in instants:
                assert getattr(found, name) == instant(row[name]), name
            call = found.call
            assert (call.leg.answered_at, call.leg.closed_at, call.leg.created_at) == (
                call.session.answered_at, call.session.closed_at, call.session.created_at,
            )  # fmt: skip
            assert call.session.assistant_version_id == versions_of[row["order_id"]]
            kinds = ("inbound", "caller") if row is came else ("outbound", "callee")
            assert (call.session.direction, call.leg.kind) == kinds
        assert (await call_rows.get(session, human["id"])).usage == json.loads(USAGE)
        assert (await call_rows.get(session, came["id"])).call.attempt is None
        assert not await browser_sessions.is_due(session, now=datetime.now(UTC))
        assert set(await session.scalars(select(CallOrder.id))) == {out}
        named = {out, came["id"]}  # what nobody ordered is known by its session
        for known in (CallEventRow, OutboxRow, Delivery):
            assert set(await session.scalars(select(known.call_id))) == named
        views = factories.views()
        owners = await repository.owners_of(session, named)
        shown = {each.id: each for each in await views.load(session, list(owners.values()))}
        assert (shown[came["id"]].direction, shown[came["id"]].status) == ("inbound", "calling")
        assert shown[came["id"]].metadata == {"a": "b"}
        assert len(shown[out].call_attempts) == 3
        [recording] = await session.scalars(select(Recording))
        assert (recording.session_id, recording.path) == (human["id"], "a.ogg")
        assert await calls_on(session, "t") == (1, 0, 1)
    await database.close()


async def test_what_hears_is_renamed_in_assistants_and_their_tests(
    bare_url: str, tmp_path: Path
) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0022")
    owner = new_id()
    old = {
        **SPEC, "prompt": 'Say "ears", naïve.',
        "ears": {"provider": "openai", "model": None},
        "ears_fallbacks": [{"provider": "cartesia", "model": "ink-2"}, {"provider": "offline"}],
    }  # fmt: skip
    stamps = {"organization_id": owner, "created_at": PLACED}
    specs = [old] * 501 + [SPEC]  # more than are read at a time
    versions_before = [
        {"id": new_id(), "version": 0, "spec": json.dumps(each), **stamps} for each in specs
    ]
    current = {
        "id": new_id(), "name": "Ann", "version": 1, "is_default": False, "updated_at": PLACED,
        "version_id": versions_before[0]["id"], "spec": json.dumps(old, separators=(",", ":")),
        **stamps,
    }  # fmt: skip
    heard = {"part": "ears", "provider": "openai", "ok": True, "took_ms": 3, "heard": "ears"}
    spoken = {"part": "voice", "provider": "openai", "ok": True, "took_ms": 3, "said": "ears"}
    test = {
        "id": new_id(), "kind": "assistant_test", "takes": 1, "done_at": PLACED,
        "results": json.dumps([spoken, heard], separators=(",", ":")), **stamps,
    }  # fmt: skip
    who = {"id": owner, "name": "a", "consent_required": False, "created_at": PLACED}
    async with database.engine.begin() as connection:
        await connection.run_sync(
            fill,
            {
                "organization": [{**who, "allowed_number_types": "[]"}],
                "assistant_version": versions_before,
                "assistant": [current],
                "probe": [test],
            },
        )
    await migrate(database)
    async with database.reading() as session:
        kept = [(await session.get_one(AssistantVersion, v["id"])).spec for v in versions_before]
        [assistant] = await session.scalars(select(Assistant))
        [job] = await session.scalars(select(JobRow))
    for stored in [*kept[:501], assistant.spec]:
        spec = load(stored)
        assert spec.stt == Stt("openai")
        assert spec.stt_fallbacks == (Stt("cartesia", "ink-2"), Stt("offline"))
        assert spec.prompt == old["prompt"]
        assert not stored.keys() & {"ears", "ears_fallbacks"}
    assert kept[501] == SPEC
    assert job.results == [spoken, {**heard, "part": "stt"}]
    assert msgspec.convert(job.results, list[ProbeResult])[1].part is ProviderPart.STT
    await database.close()


async def test_a_delay_that_nobody_asked_for_is_none(bare_url: str, tmp_path: Path) -> None:
    database = Database(bare_url, wake_folder=tmp_path / "wake")
    await migrate(database, to="0024")
    owner = new_id()
    given = {"default": 400, "own": 700, "none": 0}
    specs = {name: {**SPEC, "first_sentence_delay_ms": delay} for name, delay in given.items()}
    rows = [
        {"id": name, "organization_id": owner, "version": 0, "spec": json.dumps(spec),
         "created_at": PLACED}
        for name, spec in {**specs, "absent": SPEC}.items()
    ]  # fmt: skip
    async with database.engine.begin() as connection:
        who = {"id": owner, "name": "a", "consent_required": False, "created_at": PLACED}
        organizations = [{**who, "allowed_number_types": "[]"}]
        await connection.run_sync(fill, {"organization": organizations, "assistant_version": rows})
    await migrate(database)
    async with database.reading() as session:
        kept = {
            row["id"]: (await versions.get(session, row["id"])).spec.first_sentence_delay_ms
            for row in rows
        }
    assert kept == {"default": None, "own": 700, "none": 0, "absent": None}
    await database.close()
