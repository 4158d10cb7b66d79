"""a conversation is a session, with legs; an attempt only ties it to its order

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("room_deleted_at IS NULL")
_OPEN = sa.text("closed_at IS NULL")
_OF_ATTEMPT = ("order_id", "ordinal", "counted")
_OF_LEG = (
    ("trunk_id", sa.String(length=36), True),
    ("participant_identity", sa.String(length=300), False),
    ("to_phone_number", sa.String(length=100), False),
    ("from_phone_number", sa.String(length=100), False),
    ("invite_at", sa.BigInteger(), True),
    ("dialing_at", sa.BigInteger(), True),
    ("dial_error", sa.String(length=40), True),
    ("sip_status", sa.Integer(), True),
    ("sip_reason", sa.String(length=300), True),
    ("sip_call_id", sa.String(length=300), True),
)


def upgrade() -> None:
    for index in (
        "attempt_unfinished", "attempt_on_trunk", "attempt_to_number", "ix_attempt_order_id"
    ):  # fmt: skip
        op.drop_index(index, "attempt")
    # What refers to it follows the name: the session has the attempt's id.
    op.rename_table("attempt", "session")
    if op.get_bind().dialect.name == "postgresql":
        for constraint in ("pkey", "room_name_key", "organization_id_fkey"):
            op.execute(
                f"ALTER TABLE session RENAME CONSTRAINT attempt_{constraint}"
                f" TO session_{constraint}"
            )
    _add_what_the_order_knew()
    _make_attempts()
    _make_legs()
    op.drop_index("ix_call_event_attempt_id", "call_event")
    for table in ("call_event", "recording"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN attempt_id TO session_id")
    op.create_index("ix_call_event_session_id", "call_event", ["session_id"])
    with op.batch_alter_table("session") as session:
        for column in (*_OF_ATTEMPT, *(name for name, _kind, _null in _OF_LEG)):
            session.drop_column(column)
        for column in ("direction", "assistant_version_id"):
            session.alter_column(column, nullable=False)
    op.create_index(
        "session_unfinished",
        "session",
        ["created_at"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )


def _add_what_the_order_knew() -> None:
    op.add_column("session", sa.Column("direction", sa.String(length=40), nullable=True))
    op.add_column("session", sa.Column("assistant_version_id", sa.String(length=36), nullable=True))
    op.execute(
        "UPDATE session SET direction = o.direction, assistant_version_id = o.assistant_version_id"
        " FROM call_order o WHERE o.id = session.order_id"
    )


def _make_attempts() -> None:
    op.create_table(
        "attempt",
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"]),
        sa.ForeignKeyConstraint(["order_id"], ["call_order.id"]),
        sa.PrimaryKeyConstraint("session_id"),
    )
    columns = ", ".join(_OF_ATTEMPT)
    op.execute(f"INSERT INTO attempt (session_id, {columns}) SELECT id, {columns} FROM session")
    op.create_index("ix_attempt_order_id", "attempt", ["order_id"])


def _make_legs() -> None:
    op.create_table(
        "leg",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        *(sa.Column(name, kind, nullable=null) for name, kind, null in _OF_LEG),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"]),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    columns = ", ".join(
        [name for name, _kind, _null in _OF_LEG]
        + ["organization_id", "created_at", "answered_at", "closed_at"]
    )
    op.execute(
        f"INSERT INTO leg (id, session_id, kind, {columns}) SELECT id, id,"
        f" CASE direction WHEN 'inbound' THEN 'caller' ELSE 'callee' END, {columns} FROM session"
    )
    op.create_index("ix_leg_session_id", "leg", ["session_id"])
    op.create_index(
        "leg_on_trunk", "leg", ["trunk_id"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("leg_to_number", "leg", ["organization_id", "to_phone_number", "dialing_at"])


def downgrade() -> None:
    raise NotImplementedError("restore the copy that was made before the migration")
