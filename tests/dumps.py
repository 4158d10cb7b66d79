"""Everything that a database holds, as who reads its file or its rows sees it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url

from control_plane.db.engine import Database
from control_plane.db.models.registry import METADATA


async def everything(database: Database) -> str:
    """Return each row of each table as it is stored, and on SQLite the file with its log."""
    found: list[str] = []
    async with database.engine.connect() as connection:
        for table in METADATA.sorted_tables:
            rows = (await connection.exec_driver_sql(f'SELECT * FROM "{table.name}"')).all()
            found += [str(tuple(row)) for row in rows]
    path = make_url(database.url).database
    if database.is_sqlite and path:
        for name in (path, f"{path}-wal"):
            file = Path(name)
            found += [file.read_bytes().decode("latin-1")] if file.exists() else []
    return "\n".join(found)
