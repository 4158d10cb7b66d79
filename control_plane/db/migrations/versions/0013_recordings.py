"""recordings have rows of their own

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Column of the recording, column of the attempt, type.
_MOVED = (
    ("state", "recording_state", sa.String(length=40)),
    ("finished_at", "recording_finished_at", sa.BigInteger()),
    ("duration_ms", "recording_duration_ms", sa.Integer()),
    ("path", "recording_path", sa.String(length=300)),
    ("size", "recording_size", sa.BigInteger()),
    ("sha256", "recording_sha256", sa.String(length=64)),
    ("mix_path", "mix_path", sa.String(length=300)),
    ("mix_size", "mix_size", sa.BigInteger()),
    ("mix_sha256", "mix_sha256", sa.String(length=64)),
    ("intact", "recording_intact", sa.Boolean()),
    ("expires_at", "recording_expires_at", sa.BigInteger()),
    ("deleted_at", "recording_deleted_at", sa.BigInteger()),
)
_SPOOLED = sa.text("recording_state = 'spooling'")
_EXPIRES = sa.text("recording_expires_at IS NOT NULL")
_NEW_SPOOLED = sa.text("state = 'spooling'")
_NEW_EXPIRES = sa.text("expires_at IS NOT NULL")
# An absent one that is intact or not is one that was lost: that stays known.
_KEPT = "recording_state <> 'absent' OR recording_finished_at IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "recording",
        sa.Column("attempt_id", sa.String(length=36), nullable=False),
        *(sa.Column(new, kind, nullable=new != "state") for new, _old, kind in _MOVED),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"]),
        sa.PrimaryKeyConstraint("attempt_id"),
    )
    news = ", ".join(new for new, _old, _kind in _MOVED)
    olds = ", ".join(old for _new, old, _kind in _MOVED)
    op.execute(
        sa.text(
            f"INSERT INTO recording (attempt_id, {news}) SELECT id, {olds} FROM attempt"
            f" WHERE {_KEPT}"
        )
    )
    op.create_index(
        "recording_spooling",
        "recording",
        ["attempt_id"],
        sqlite_where=_NEW_SPOOLED,
        postgresql_where=_NEW_SPOOLED,
    )
    op.create_index(
        "recording_expires",
        "recording",
        ["expires_at"],
        sqlite_where=_NEW_EXPIRES,
        postgresql_where=_NEW_EXPIRES,
    )
    for index in ("attempt_spooled", "attempt_recording_expires"):
        op.drop_index(index, "attempt")
    for _new, old, _kind in _MOVED:
        op.drop_column("attempt", old)


def downgrade() -> None:
    for _new, old, kind in _MOVED:
        op.add_column("attempt", sa.Column(old, kind, nullable=True))
    for new, old, _kind in _MOVED:
        op.execute(
            sa.text(
                f"UPDATE attempt SET {old} ="
                f" (SELECT {new} FROM recording WHERE attempt_id = attempt.id)"
            )
        )
    op.execute(
        sa.text("UPDATE attempt SET recording_state = 'absent' WHERE recording_state IS NULL")
    )
    op.create_index(
        "attempt_spooled",
        "attempt",
        ["ended_at"],
        sqlite_where=_SPOOLED,
        postgresql_where=_SPOOLED,
    )
    op.create_index(
        "attempt_recording_expires",
        "attempt",
        ["recording_expires_at"],
        sqlite_where=_EXPIRES,
        postgresql_where=_EXPIRES,
    )
    op.drop_table("recording")
