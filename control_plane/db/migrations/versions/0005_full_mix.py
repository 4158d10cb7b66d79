"""full mix of a recording

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempt", sa.Column("mix_path", sa.String(length=300), nullable=True))
    op.add_column("attempt", sa.Column("mix_size", sa.BigInteger(), nullable=True))
    op.add_column("attempt", sa.Column("mix_sha256", sa.String(length=64), nullable=True))


def downgrade() -> None:
    for name in ("mix_sha256", "mix_size", "mix_path"):
        op.drop_column("attempt", name)
