"""the one agent that may have the brief of a call that came in

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempt", sa.Column("agent_identity", sa.String(length=300), nullable=True))


def downgrade() -> None:
    op.drop_column("attempt", "agent_identity")
