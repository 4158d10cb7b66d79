"""organizations that are suspended

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_HELD = "waiting_rule = 'organization_suspended' AND due_at IS NULL"


def upgrade() -> None:
    op.add_column("organization", sa.Column("suspended_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "call_order_suspended",
        "call_order",
        ["organization_id", "id"],
        sqlite_where=sa.text(_HELD),
        postgresql_where=sa.text(_HELD),
    )


def downgrade() -> None:
    op.drop_index("call_order_suspended", "call_order")
    op.drop_column("organization", "suspended_at")
