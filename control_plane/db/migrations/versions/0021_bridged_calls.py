"""bridged calls: a human's leg, and calls that go on without their agent

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_OF_THE_LEG = {
    "lease_until": sa.BigInteger(),
    "result": sa.String(length=40),
    "reason": sa.Text(),
    "ring_secs": sa.Integer(),
}
_OPEN = "closed_at IS NULL"


def upgrade() -> None:
    for name, kind in _OF_THE_LEG.items():
        op.add_column("leg", sa.Column(name, kind, nullable=True))
    op.create_index(
        "leg_open",
        "leg",
        ["kind"],
        sqlite_where=sa.text(_OPEN),
        postgresql_where=sa.text(_OPEN),
    )
    op.add_column("session", sa.Column("handed_over_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "trunk",
        sa.Column("takes_refer", sa.Boolean(), nullable=False, server_default=sa.true()),
    )


def downgrade() -> None:
    op.drop_column("trunk", "takes_refer")
    op.drop_column("session", "handed_over_at")
    op.drop_index("leg_open", "leg")
    for name in _OF_THE_LEG:
        op.drop_column("leg", name)
