"""what a call used, and until when its recording is kept

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEPT_FOR_A_WHILE = sa.text("recording_expires_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("attempt", sa.Column("usage", sa.Text(), nullable=True))
    op.add_column("attempt", sa.Column("recording_intact", sa.Boolean(), nullable=True))
    op.add_column("attempt", sa.Column("recording_expires_at", sa.BigInteger(), nullable=True))
    op.add_column("attempt", sa.Column("recording_deleted_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "attempt_recording_expires",
        "attempt",
        ["recording_expires_at"],
        sqlite_where=_KEPT_FOR_A_WHILE,
        postgresql_where=_KEPT_FOR_A_WHILE,
    )


def downgrade() -> None:
    op.drop_index("attempt_recording_expires", "attempt")
    for name in ("recording_deleted_at", "recording_expires_at", "recording_intact", "usage"):
        op.drop_column("attempt", name)
