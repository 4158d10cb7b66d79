"""what a REFER asks for, by the trunk

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "trunk",
        sa.Column(
            "refer_to", sa.String(length=300), nullable=False, server_default="tel:{number}"
        ),
    )


def downgrade() -> None:
    op.drop_column("trunk", "refer_to")
