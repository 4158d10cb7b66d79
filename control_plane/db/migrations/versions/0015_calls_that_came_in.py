"""a call that came in is a session, not an order

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What the session takes over from the order, and what it is where there is none.
_TAKEN = (
    ("assistant_id", sa.String(length=36), "assistant_id", True),
    ("assistant_version", sa.Integer(), "assistant_version", False),
    ("prompt_variables", sa.Text(), "prompt_variables", False),
    ("call_metadata", sa.Text(), "call_metadata", False),
    ("cancel_requested_at", sa.BigInteger(), "cancel_requested_at", True),
    ("event_count", sa.Integer(), "event_count", False),
    ("updated_at", sa.BigInteger(), "updated_at", False),
)
_CAME_IN = "SELECT id FROM call_order WHERE direction = 'inbound'"
_KNOWN_AS = {
    "call_event": ("call_event_order", ["order_id", "sequence"], True, "call_event_of_call"),
    "delivery": ("delivery_of_order", ["order_id", "receiver", "sequence"], False, None),
    "outbox": (None, [], False, None),
}

_NAMED = {"fk": "fk_%(table_name)s_%(column_0_name)s"}  # SQLite's have no names of their own


def upgrade() -> None:
    _tell_sessions()
    for table, (index, columns, unique, name) in _KNOWN_AS.items():
        _name_by_call(table, index, columns, unique=unique, name=name)
    op.execute(f"DELETE FROM attempt WHERE order_id IN ({_CAME_IN})")
    op.execute("DELETE FROM call_order WHERE direction = 'inbound'")
    op.drop_column("call_order", "direction")
    op.create_index("session_listing", "session", ["organization_id", "direction", "id"])


def _tell_sessions() -> None:
    for name, kind, _of_order, _null in _TAKEN:
        op.add_column("session", sa.Column(name, kind, nullable=True))
    values = ", ".join(f"{name} = o.{of_order}" for name, _kind, of_order, _null in _TAKEN)
    op.execute(
        f"UPDATE session SET {values} FROM call_order o, attempt a"
        " WHERE a.session_id = session.id AND o.id = a.order_id"
    )
    # The history of what was ordered is the order's.
    op.execute("UPDATE session SET event_count = 0 WHERE direction = 'outbound'")
    with op.batch_alter_table("session") as session:
        for name, _kind, _of_order, null in _TAKEN:
            if not null:
                session.alter_column(name, nullable=False)


def _name_by_call(
    table: str, index: str | None, columns: list[str], *, unique: bool, name: str | None
) -> None:
    """Let rows name the order, or the session of a call that came in; both are a call's id."""
    if index is not None:
        op.drop_index(index, table)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(f"{table}_order_id_fkey", table, type_="foreignkey")
        op.alter_column(table, "order_id", new_column_name="call_id")
    else:
        with op.batch_alter_table(table, naming_convention=_NAMED) as batch:
            batch.drop_constraint(f"fk_{table}_order_id", type_="foreignkey")
            batch.alter_column("order_id", new_column_name="call_id")
    op.execute(
        f"UPDATE {table} SET call_id = (SELECT session_id FROM attempt WHERE order_id = call_id)"
        f" WHERE call_id IN ({_CAME_IN})"
    )
    if index is not None:
        named = [each.replace("order_id", "call_id") for each in columns]
        op.create_index(name or "delivery_of_call", table, named, unique=unique)


def downgrade() -> None:
    raise NotImplementedError("restore the copy that was made before the migration")
