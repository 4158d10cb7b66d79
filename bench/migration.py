"""How long the first start of this release takes with a million calls in the database.

From revision 0012, in which an attempt was all of a call. One call in ten came in; each has four
entries of history, one message to others and one delivery. SQLite's time has the copy in it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import text

from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from tests.postgres import server

BEFORE = "0012"
CALLS = int(os.environ.get("OFFHOOK_BENCH_ROWS", "1_000_000"))
_COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {calls})"
_AT = "1700000000000000 + i"
_FILL = {
    "call_order": {
        "id": "'o' || i", "organization_id": "'org'",
        "direction": "CASE WHEN i % 10 = 0 THEN 'inbound' ELSE 'outbound' END",
        "status": "'completed'", "to_phone_number": "'+1202555' || (1000 + i % 9000)",
        "assistant_version": "1", "assistant_version_id": "'v'",
        "prompt_variables": "'{\"name\": \"Ann\"}'", "call_metadata": "'{}'",
        "force_now": "false", "epoch": "1", "calls_count": "1", "uncounted_in_a_row": "0",
        "event_count": "4", "retry_config": "'{}'", "zones": "'[]'", "created_at": _AT,
        "updated_at": _AT,
    },
    "attempt": {
        "id": "'a' || i", "order_id": "'o' || i", "organization_id": "'org'", "ordinal": "1",
        "counted": "true", "status": "'completed'", "epoch": "1", "room_name": "'call-a' || i",
        "participant_identity": "'phone-a' || i",
        "to_phone_number": "'+1202555' || (1000 + i % 9000)", "from_phone_number": "'+12025550199'",
        "trunk_id": "'t'", "last_event_seq": "9", "created_at": _AT, "dialing_at": _AT,
        "answered_at": _AT, "ended_at": _AT, "closed_at": _AT, "room_deleted_at": _AT,
        "result": "'human'", "ended_by": "'user'", "recording_state": "'stored'",
        "recording_path": "'2026/01/a' || i || '.ogg'", "recording_size": "100000",
        "recording_sha256": "'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'",
    },
    "call_event": {
        "id": "'e' || i", "order_id": "'o' || (1 + (i - 1) / 4)",
        "attempt_id": "'a' || (1 + (i - 1) / 4)", "sequence": "1 + (i - 1) % 4",
        "type": "'item_said'", "at": _AT, "stored_at": _AT,
        "data": "'{\"role\": \"user\", \"content\": \"Yes, tomorrow at nine would be fine.\"}'",
    },
    "outbox": {
        "id": "'m' || i", "organization_id": "'org'", "order_id": "'o' || i", "sequence": "3",
        "type": "'call.completed'", "data": "'{\"status\": \"completed\"}'", "created_at": _AT,
        "done_at": _AT,
    },
    "delivery": {
        "id": "'d' || i", "message_id": "'m' || i", "organization_id": "'org'", "url": "'u'",
        "receiver": "'r'", "event_type": "'call.completed'", "order_id": "'o' || i",
        "sequence": "3", "state": "'delivered'", "tries": "1", "failures": "0", "claim": "1",
        "payload": "'{\"type\": \"call.completed\"}'", "created_at": _AT, "done_at": _AT,
    },
}  # fmt: skip
_MANY = {"call_event": 4}


async def run() -> list[dict[str, Any]]:
    """Return the rows; takes some ten minutes."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
        url = f"sqlite+aiosqlite:///{folder}/offhook.db"
        rows.append(_row("SQLite", await _measure(url, Path(folder))))
    with server() as address, tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
        url = f"postgresql+asyncpg://postgres@{address}/postgres"
        rows.append(_row("PostgreSQL", await _measure(url, Path(folder))))
    return rows


async def _measure(url: str, folder: Path) -> float:
    """Return the seconds that the migration took."""
    database = Database(url, wake_folder=folder / "wake")
    await migrate(database, to=BEFORE)
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO organization (id, name, consent_required, allowed_number_types,"
                " created_at) VALUES ('org', 'a', false, '[]', 1)"
            )
        )
        for table, columns in _FILL.items():
            count = _COUNT.format(calls=CALLS * _MANY.get(table, 1))
            names, values = ", ".join(columns), ", ".join(columns.values())
            statement = f"INSERT INTO {table} ({names}) {count} SELECT {values} FROM n"
            await connection.exec_driver_sql(statement)
    began = time.monotonic()
    await migrate(database, vault=Vault([Fernet.generate_key()]))
    took = time.monotonic() - began
    await asyncio.wait_for(_check(database), 600)
    await database.close()
    return took


async def _check(database: Database) -> None:
    """See that nothing was lost."""
    async with database.reading() as db:
        for table, wanted in (
            ("session", CALLS),
            ("leg", CALLS),
            ("recording", CALLS),
            ("attempt", CALLS - CALLS // 10),
            ("call_order", CALLS - CALLS // 10),
            ("call_event", 4 * CALLS),
        ):
            found = await db.scalar(text(f"SELECT count(*) FROM {table}"))
            if found != wanted:
                raise RuntimeError(f"{table} has {found} rows, not {wanted}")


def _row(engine: str, seconds: float) -> dict[str, Any]:
    return {
        "id": f"M1 {engine}",
        "measure": f"first start after {BEFORE}, {engine}",
        "value": round(seconds, 1),
        "unit": "s",
        "n": CALLS,
    }
