"""No write transaction holds SQLite for long: `tests/holding.py` finds those that do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select, text

from control_plane.app import Resources
from control_plane.assistants import specs
from control_plane.db.engine import Database
from control_plane.db.models.assistant import AssistantVersion
from control_plane.db.models.organization import Secret
from control_plane.orders.batch import MOST_ROWS
from tests import arrivals
from tests.arrivals import FakeCallRooms, job_token
from tests.holding import LIMIT_S, Held

pytestmark = [pytest.mark.db, pytest.mark.engines]

TOO_LONG_S = LIMIT_S + 0.05
HEADERS = 20

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def work() -> None:
    """Take the processor for `TOO_LONG_S`."""
    until = time.thread_time() + TOO_LONG_S
    while time.thread_time() < until:
        pass


def tool(name: str, headers: int, said: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": "Looks it up.",
        "method": "GET",
        "url": "https://example.com/orders",
        "headers": [{"key": f"X-{n}", "value": f"{said} {n}"} for n in range(headers)],
        "query_params": [],
        "body_template": "",
        "input_schema": [],
    }


@on_sqlite
@pytest.mark.parametrize("elsewhere", [False, True], ids=["work", "waiting for others"])
async def test_a_transaction_that_takes_its_time_is_found_and_its_statement_named(
    database: Database, held_too_long: list[Held], *, elsewhere: bool
) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE organization SET name = 'slow'"))
        await asyncio.to_thread(work) if elsewhere else work()
        await session.execute(text("UPDATE organization SET name = 'quick'"))
    [held] = held_too_long
    assert held.held_s >= held.longest_s >= TOO_LONG_S > held.limit_s
    assert "name = 'slow'" in str(held)
    held_too_long.clear()


@on_sqlite
async def test_a_statement_that_takes_its_time_is_named(
    database: Database, held_too_long: list[Held]
) -> None:
    slow = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000)"
        " SELECT count(*) FROM n"
    )
    async with database.transaction() as session:
        await session.execute(slow)
    [held] = held_too_long
    assert held.longest.startswith("`WITH RECURSIVE")
    held_too_long.clear()


@on_sqlite
async def test_who_waits_for_the_lock_holds_nothing(
    database: Database, held_too_long: list[Held]
) -> None:
    other = Database(database.url, wake_folder=database._wake_folder)  # another process's
    async with database.transaction():
        waiting = asyncio.create_task(_rename(other))
        await asyncio.to_thread(work)
    await waiting
    await other.close()
    assert len(held_too_long) == 1
    held_too_long.clear()


async def _rename(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE organization SET name = 'late'"))


@on_sqlite
async def test_a_full_batch_of_assistants_with_many_secrets(
    api: httpx.AsyncClient, resources: Resources
) -> None:
    """Everything is sealed before: `held_too_long` finds nothing."""
    rows = [
        {
            "phone_number": f"+1202555{n:04d}",
            "force_now": True,
            "assistant": {
                "prompt": "Be kind.",
                "custom_tools": [tool("look", HEADERS, str(n))],
                "webhook_url": f"https://example.com/calls/{n % 100}",
            },
        }
        for n in range(MOST_ROWS)
    ]
    answer = await api.post("/call/batch", json={"calls": rows})
    assert answer.json()["placed"] == MOST_ROWS
    async with resources.database.reading() as session:
        row = await session.scalar(
            select(AssistantVersion)
            .where(AssistantVersion.assistant_id.is_(None))
            .order_by(AssistantVersion.id.desc())
            .limit(1)
        )
        assert row is not None
        opened = await specs.opened(session, resources.vault, specs.load(row.spec))
        told = specs.shown(specs.load(row.spec), resources.vault).webhook_url
    assert told == "https://example.com/calls/99"
    assert [pair.value for pair in opened.custom_tools[0].headers] == [
        f"{MOST_ROWS - 1} {n}" for n in range(HEADERS)
    ]


@on_sqlite
async def test_an_assistant_with_very_many_secrets(
    api: httpx.AsyncClient,
    internal: httpx.AsyncClient,
    resources: Resources,
    call_rooms: FakeCallRooms,
) -> None:
    """Sealing, changing and unsealing hold the database for no longer than without secrets."""
    tools = [tool(f"look_{n}", 100, "first") for n in range(10)]
    made = await api.post(
        "/assistant",
        json={"name": "Many", "prompt": "Be kind.", "custom_tools": tools, "is_default": True},
    )
    assert made.status_code == 201, made.text
    key = made.json()["assistant"]["id"]
    changed = [tool(f"look_{n}", 100, "second") for n in range(10)]
    answer = await api.patch(f"/assistant/{key}", json={"custom_tools": changed})
    assert answer.status_code == 200, answer.text
    await arrivals.applied(resources.database)
    call_rooms.ring("inbound_+1_many")
    brief = await internal.post("/internal/inbound", headers=job_token("inbound_+1_many"))
    assert brief.json()["assistant"]["custom_tools"] == changed
    masked = answer.json()["assistant"]["custom_tools"]
    again = await api.patch(f"/assistant/{key}", json={"custom_tools": masked})
    assert again.status_code == 200, again.text


async def test_a_refused_row_leaves_no_secret(api: httpx.AsyncClient, resources: Resources) -> None:
    async with resources.database.reading() as session:
        before = set(await session.scalars(select(Secret.id)))
    assistant = {"prompt": "Be kind.", "custom_tools": [tool("look", HEADERS, "gone")]}
    rows = [{"phone_number": "+12025550123", "assistant": assistant}, {"phone_number": "+1"}]
    answer = await api.post("/call/batch", json={"calls": rows, "all_or_nothing": True})
    assert (answer.json()["placed"], answer.json()["refused"]) == (0, 1)
    async with resources.database.reading() as session:
        assert set(await session.scalars(select(Secret.id))) == before


async def test_a_mask_or_a_foreign_number_in_a_row_is_told_with_its_field(
    api: httpx.AsyncClient,
) -> None:
    masked = {"prompt": "Be kind.", "custom_tools": [tool("look", 1, "x")]}
    masked["custom_tools"][0]["headers"][0]["value"] = "****abcd"  # type: ignore[index]
    foreign = {"prompt": "Be kind.", "from_phone_number": "+12025550188"}
    rows = [{"phone_number": "+12025550123", "assistant": each} for each in (masked, foreign)]
    answer = await api.post("/call/batch", content=msgspec.json.encode({"calls": rows}))
    assert [error["field"] for error in answer.json()["errors"]] == [
        "assistant.custom_tools[0].headers[0].value",
        "assistant.from_phone_number",
    ]
