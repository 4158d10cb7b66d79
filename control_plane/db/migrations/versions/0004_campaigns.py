"""campaigns

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PENDING = sa.text("done_at IS NULL")
_AT_WORK = sa.text("launched_at IS NOT NULL AND ended_at IS NULL")
_DONE = sa.text("campaign_id IS NOT NULL AND deadline_at IS NULL")


def upgrade() -> None:
    op.drop_index("outbox_pending", table_name="outbox")
    op.drop_index("outbox_feed", table_name="outbox")
    with op.batch_alter_table("outbox") as outbox:
        outbox.alter_column("order_id", existing_type=sa.String(length=36), nullable=True)
    op.create_index(
        "outbox_pending", "outbox", ["id"], sqlite_where=_PENDING, postgresql_where=_PENDING
    )
    op.create_index("outbox_feed", "outbox", ["organization_id", "id"])
    op.add_column(
        "campaign", sa.Column("row_count", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "campaign", sa.Column("event_count", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("campaign", sa.Column("sampled_from", sa.BigInteger(), nullable=True))
    op.create_index(
        "campaign_at_work", "campaign", ["id"], sqlite_where=_AT_WORK, postgresql_where=_AT_WORK
    )
    op.create_index(
        "call_order_campaign_done",
        "call_order",
        ["campaign_id", "updated_at"],
        sqlite_where=_DONE,
        postgresql_where=_DONE,
    )


def downgrade() -> None:
    op.drop_index("call_order_campaign_done", table_name="call_order")
    op.drop_index("campaign_at_work", table_name="campaign")
    for name in ("sampled_from", "event_count", "row_count"):
        op.drop_column("campaign", name)
