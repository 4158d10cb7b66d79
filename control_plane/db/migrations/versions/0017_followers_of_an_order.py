"""who is told of an order's events beside the organization's endpoints

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("call_order", sa.Column("events_to", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("call_order", "events_to")
