"""public keys, and which browser sessions were started with one

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_STARTED = "public_key_id IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "public_key",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("allowed_origins", sa.Text(), nullable=False),
        sa.Column("assistant_ids", sa.Text(), nullable=False),
        sa.Column("sessions_per_hour", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_public_key_organization_id", "public_key", ["organization_id"])
    op.add_column("session", sa.Column("public_key_id", sa.String(length=36), nullable=True))
    op.create_index(
        "session_by_public_key",
        "session",
        ["public_key_id", "created_at"],
        sqlite_where=sa.text(_STARTED),
        postgresql_where=sa.text(_STARTED),
    )


def downgrade() -> None:
    op.drop_index("session_by_public_key", "session")
    op.drop_column("session", "public_key_id")
    op.drop_table("public_key")
