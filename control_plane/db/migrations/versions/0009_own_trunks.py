"""trunks of our own are marked, instead of known by their names

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Only the first start makes an organization and trunks at one instant, to the microsecond. What
# somebody has given a carrier's login or addresses since is theirs, whoever made it.
_FIRST_START = """
    deleted_at IS NULL
    AND created_at = (SELECT created_at FROM organization WHERE id = trunk.organization_id)
"""
_SIMULATOR = f"""
    UPDATE trunk SET purpose = 'simulator'
    WHERE name = 'simulator' AND direction = 'outbound' AND username IS NULL AND {_FIRST_START}
"""
_LOCAL_LINE = f"""
    UPDATE trunk SET purpose = 'local_line'
    WHERE name = 'inbound' AND direction = 'inbound' AND {_FIRST_START}
    AND (
        (username IS NULL AND allowed_addresses = '["127.0.0.0/8"]')
        OR (username = 'softphone' AND allowed_addresses = '[]')
    )
"""


def upgrade() -> None:
    op.add_column("trunk", sa.Column("purpose", sa.String(length=40), nullable=True))
    for statement in (_SIMULATOR, _LOCAL_LINE):
        op.execute(sa.text(statement))
    op.create_index("trunk_purpose", "trunk", ["organization_id", "purpose"], unique=True)


def downgrade() -> None:
    op.drop_index("trunk_purpose", "trunk")
    op.drop_column("trunk", "purpose")
