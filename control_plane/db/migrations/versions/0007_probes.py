"""jobs of the after-call worker

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OPEN = sa.text("done_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "probe",
        sa.Column("id", sa.String(length=36), primary_key=True),
        sa.Column(
            "organization_id",
            sa.String(length=36),
            sa.ForeignKey("organization.id"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column(
            "assistant_id", sa.String(length=36), sa.ForeignKey("assistant.id"), nullable=True
        ),
        sa.Column(
            "version_id",
            sa.String(length=36),
            sa.ForeignKey("assistant_version.id"),
            nullable=True,
        ),
        sa.Column("preview", sa.Text(), nullable=True),
        sa.Column("takes", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("results", sa.Text(), nullable=False),
        sa.Column("sound", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
    )
    op.create_index(
        "probe_open", "probe", ["created_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("probe_organization", "probe", ["organization_id", "created_at"])


def downgrade() -> None:
    op.drop_table("probe")
