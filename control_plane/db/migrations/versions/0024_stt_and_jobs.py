"""what hears is called stt, in stored assistants and in tests of them; probes are called jobs

What was said to others in the old words stays as it was said: answers kept for a repeated request
and messages to webhooks are the same bytes each time.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_AT_ONCE = 500
_OPEN = sa.text("done_at IS NULL")
_NAMES = {"ears": "stt", "ears_fallbacks": "stt_fallbacks"}


def upgrade() -> None:
    _rename_keys(_NAMES)
    _rename_jobs("probe", "job")


def downgrade() -> None:
    _rename_jobs("job", "probe")
    _rename_keys({new: old for old, new in _NAMES.items()})


def _rename_jobs(old: str, new: str) -> None:
    for index in ("open", "organization"):
        op.drop_index(f"{old}_{index}", old)
    op.rename_table(old, new)
    op.create_index(
        f"{new}_open", new, ["created_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index(f"{new}_organization", new, ["organization_id", "created_at"])


def _rename_keys(names: dict[str, str]) -> None:
    def in_spec(spec: dict[str, Any]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in spec.items()}

    def in_results(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**each, "part": names.get(each["part"], each["part"])} if "part" in each else each
            for each in results
        ]

    old = next(iter(names))
    _rewrite("assistant", "spec", f'%"{old}%', in_spec)
    _rewrite("assistant_version", "spec", f'%"{old}%', in_spec)
    _rewrite("probe", "results", f'%"{old}"%', in_results)


def _rewrite(table: str, column: str, like: str, change: Callable[[Any], Any]) -> None:
    """Change the JSON of the rows whose text is `like` that, some at a time."""
    rows = sa.table(table, sa.column("id", sa.String), sa.column(column, sa.Text))
    connection = op.get_bind()
    page = sa.select(rows.c.id, rows.c[column]).where(rows.c[column].like(like))
    update = (
        rows.update()
        .where(rows.c.id == sa.bindparam("key"))
        .values({column: sa.bindparam("changed")})
    )
    last = ""
    while found := connection.execute(
        page.where(rows.c.id > last).order_by(rows.c.id).limit(_AT_ONCE)
    ).all():
        last = found[-1].id
        values = [
            {"key": key, "changed": json.dumps(new, ensure_ascii=False, separators=(",", ":"))}
            for key, text in found
            if (new := change(old := json.loads(text))) != old
        ]
        if values:
            connection.execute(update, values)
