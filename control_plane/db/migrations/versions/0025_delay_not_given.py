"""the delay before the first sentence is null where nobody asked for one

Until now it was stored as its default of 400, which a browser session took for none.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_NAME, _DEFAULT = "first_sentence_delay_ms", 400
_AT_ONCE = 500


def upgrade() -> None:
    _replace(_DEFAULT, None)


def downgrade() -> None:
    _replace(None, _DEFAULT)


def _replace(old: int | None, new: int | None) -> None:
    for name in ("assistant", "assistant_version"):
        _replace_in(sa.table(name, sa.column("id", sa.String), sa.column("spec", sa.Text)), old, new)


def _replace_in(table: sa.TableClause, old: int | None, new: int | None) -> None:
    """Change the specs that have the old value, some at a time."""
    connection = op.get_bind()
    page = sa.select(table.c.id, table.c.spec).order_by(table.c.id).limit(_AT_ONCE)
    change = (
        table.update()
        .where(table.c.id == sa.bindparam("key"))
        .values(spec=sa.bindparam("changed"))
    )
    last = ""
    while rows := connection.execute(page.where(table.c.id > last)).all():
        last = rows[-1].id
        specs: dict[str, dict[str, Any]] = {row.id: json.loads(row.spec) for row in rows}
        changed = [
            {"key": key, "changed": json.dumps({**spec, _NAME: new}, ensure_ascii=False)}
            for key, spec in specs.items()
            if spec.get(_NAME) == old
        ]
        if changed:
            connection.execute(change, changed)
