"""browser sessions

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_COLUMNS = {
    "api_key_id": sa.String(length=36),
    "scheduled_at": sa.BigInteger(),
    "due_at": sa.BigInteger(),
    "agent_sent_at": sa.BigInteger(),
    "token_until": sa.BigInteger(),
    "webhook_url": sa.Text(),
    "max_duration_secs": sa.Integer(),
    "is_recorded": sa.Boolean(),
    "earlier_usage": sa.Text(),
}
_DUE = "due_at IS NOT NULL"


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.add_column("session", sa.Column(name, kind, nullable=True))
    op.create_index(
        "session_due",
        "session",
        ["due_at"],
        sqlite_where=sa.text(_DUE),
        postgresql_where=sa.text(_DUE),
    )


def downgrade() -> None:
    op.drop_index("session_due", "session")
    for name in _COLUMNS:
        op.drop_column("session", name)
