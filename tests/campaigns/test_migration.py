"""Messages that wait when the release with campaigns comes are still there afterwards."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from control_plane.db import migrate as migrations
from control_plane.db.engine import Database

pytestmark = pytest.mark.db


def fill(connection: sqlite3.Connection, table: str, **values: str) -> None:
    """Insert a row whose other required columns hold something of their kind."""
    for _, name, kind, required, default, _ in connection.execute(f"PRAGMA table_info({table})"):
        if required and default is None:
            values.setdefault(name, "{}" if kind == "TEXT" else "1")
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*values.values()])


async def test_the_outbox_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "offhook.db"
    database = Database(f"sqlite+aiosqlite:///{path}", wake_folder=tmp_path / "wake")

    def before(connection: Connection) -> None:
        config = Config()
        scripts = Path(migrations.__file__).parent / "migrations"
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")

    async with database.engine.begin() as connection:
        await connection.run_sync(before)
    plain = sqlite3.connect(path)
    fill(plain, "organization", id="o")
    fill(plain, "call_order", id="c", organization_id="o")
    fill(plain, "outbox", id="m", organization_id="o", order_id="c", type="call.completed")
    fill(plain, "campaign", id="k", organization_id="o")
    plain.commit()
    await migrations.migrate(database)
    kept = plain.execute("SELECT id, call_id, type, done_at FROM outbox").fetchall()
    assert kept == [("m", "c", "call.completed", None)]
    assert plain.execute("SELECT row_count, event_count FROM campaign").fetchall() == [(0, 0)]
    fill(plain, "outbox", id="n", organization_id="o", type="campaign.launched")
    plain.close()
    await database.close()
