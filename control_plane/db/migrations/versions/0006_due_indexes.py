"""due indexes

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PARKED = sa.text("waiting_rule = 'concurrency' AND due_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "call_order_slot",
        "call_order",
        ["organization_id", "concurrency_key", "id"],
        sqlite_where=_PARKED,
        postgresql_where=_PARKED,
    )


def downgrade() -> None:
    op.drop_index("call_order_slot", table_name="call_order")
