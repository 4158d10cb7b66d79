"""the order book

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from control_plane.domain.ids import new_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WEEK_US = 7 * 24 * 3600 * 1_000_000
_FINAL = ("completed", "cancelled", "errored")


def upgrade() -> None:
    op.create_table(
        "assistant_version",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("assistant_id", sa.String(length=36), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("assistant_id", "version"),
    )
    op.create_index(
        op.f("ix_assistant_version_organization_id"),
        "assistant_version",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("api_key_id", sa.String(length=36), nullable=True),
        sa.Column("operation", sa.String(length=50), nullable=False),
        sa.Column("method", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=300), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_entry_listing", "audit_entry", ["organization_id", "id"], unique=False)
    op.create_table(
        "campaign",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("assistant_id", sa.String(length=36), nullable=False),
        sa.Column("assistant_version_id", sa.String(length=36), nullable=True),
        sa.Column("api_key_id", sa.String(length=36), nullable=True),
        sa.Column("retry_config", sa.Text(), nullable=True),
        sa.Column("from_phone_numbers", sa.Text(), nullable=False),
        sa.Column("prompt_variables", sa.Text(), nullable=False),
        sa.Column("campaign_metadata", sa.Text(), nullable=False),
        sa.Column("max_concurrent_calls", sa.Integer(), nullable=True),
        sa.Column("max_failure_rate", sa.Double(), nullable=True),
        sa.Column("failure_sample", sa.Integer(), nullable=False),
        sa.Column("fed_line", sa.Integer(), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=True),
        sa.Column("launched_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("campaign_listing", "campaign", ["organization_id", "id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("phone_number", sa.String(length=100), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("consent_number", "consent", ["organization_id", "phone_number"], unique=False)
    op.create_table(
        "do_not_call",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("phone_number", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("source", sa.String(length=30), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "do_not_call_number", "do_not_call", ["organization_id", "phone_number"], unique=True
    )
    op.create_table(
        "idempotent_answer",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("operation", sa.String(length=50), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("organization_id", "key"),
    )
    op.create_index(
        op.f("ix_idempotent_answer_created_at"), "idempotent_answer", ["created_at"], unique=False
    )
    op.create_table(
        "campaign_row",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("campaign_id", sa.String(length=36), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("phone_number", sa.String(length=100), nullable=False),
        sa.Column("prompt_variables", sa.Text(), nullable=False),
        sa.Column("row_metadata", sa.Text(), nullable=False),
        sa.Column("order_id", sa.String(length=36), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaign.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("campaign_row_line", "campaign_row", ["campaign_id", "line"], unique=True)
    op.create_index(
        "campaign_row_number", "campaign_row", ["campaign_id", "phone_number"], unique=True
    )
    op.create_index(
        "campaign_row_refused",
        "campaign_row",
        ["campaign_id"],
        unique=False,
        sqlite_where=sa.text("error IS NOT NULL"),
        postgresql_where=sa.text("error IS NOT NULL"),
    )
    op.create_table(
        "key_usage",
        sa.Column("api_key_id", sa.String(length=36), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("spend", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_key_id"],
            ["api_key.id"],
        ),
        sa.PrimaryKeyConstraint("api_key_id", "day"),
    )
    op.create_table(
        "destination_stop",
        sa.Column("trunk_id", sa.String(length=36), nullable=False),
        sa.Column("prefix", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["trunk_id"],
            ["trunk.id"],
        ),
        sa.PrimaryKeyConstraint("trunk_id", "prefix"),
    )
    op.create_table(
        "trunk_pace",
        sa.Column("trunk_id", sa.String(length=36), nullable=False),
        sa.Column("invite_free_at", sa.BigInteger(), nullable=True),
        sa.Column("invites", sa.Text(), nullable=False),
        sa.Column("recent", sa.String(length=20), nullable=False),
        sa.Column("failures_in_a_row", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=True),
        sa.Column("blocked_rule", sa.String(length=50), nullable=True),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["trunk_id"],
            ["trunk.id"],
        ),
        sa.PrimaryKeyConstraint("trunk_id"),
    )
    op.add_column("api_key", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("api_key", sa.Column("calls_per_day", sa.Integer(), nullable=True))
    op.add_column("api_key", sa.Column("minutes_per_day", sa.Integer(), nullable=True))
    op.add_column("api_key", sa.Column("spend_per_day", sa.Double(), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", sa.BigInteger(), nullable=True))
    op.add_column("assistant", sa.Column("version_id", sa.String(length=36), nullable=True))
    op.add_column("attempt", sa.Column("invite_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "attempt_on_trunk",
        "attempt",
        ["trunk_id"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "attempt_to_number",
        "attempt",
        ["organization_id", "to_phone_number", "dialing_at"],
        unique=False,
    )
    op.add_column(
        "call_order",
        sa.Column(
            "assistant_version_id",
            sa.String(length=36),
            nullable=True,
        ),
    )
    op.add_column("call_order", sa.Column("api_key_id", sa.String(length=36), nullable=True))
    op.add_column(
        "call_order",
        sa.Column("campaign_id", sa.String(length=36), nullable=True),
    )
    op.add_column("call_order", sa.Column("trunk_id", sa.String(length=36), nullable=True))
    op.add_column(
        "call_order", sa.Column("retry_config", sa.Text(), nullable=False, server_default="{}")
    )
    op.add_column("call_order", sa.Column("zones", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("call_order", sa.Column("concurrency_key", sa.String(length=200), nullable=True))
    op.add_column("call_order", sa.Column("concurrency_max", sa.BigInteger(), nullable=True))
    op.add_column("call_order", sa.Column("not_before_rule", sa.String(length=50), nullable=True))
    op.add_column("call_order", sa.Column("deadline_at", sa.BigInteger(), nullable=True))
    op.add_column("call_order", sa.Column("paused_at", sa.BigInteger(), nullable=True))
    op.drop_index("call_order_due", table_name="call_order")
    op.create_index(
        "call_order_campaign",
        "call_order",
        ["campaign_id", "status"],
        unique=False,
        sqlite_where=sa.text("campaign_id IS NOT NULL"),
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index(
        "call_order_deadline",
        "call_order",
        ["deadline_at"],
        unique=False,
        sqlite_where=sa.text("deadline_at IS NOT NULL"),
        postgresql_where=sa.text("deadline_at IS NOT NULL"),
    )
    op.create_index(
        "call_order_key",
        "call_order",
        ["organization_id", "concurrency_key", "status"],
        unique=False,
        sqlite_where=sa.text("concurrency_key IS NOT NULL AND deadline_at IS NOT NULL"),
        postgresql_where=sa.text("concurrency_key IS NOT NULL AND deadline_at IS NOT NULL"),
    )
    op.create_index(
        "call_order_lane",
        "call_order",
        ["trunk_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    _keep_specs()
    op.drop_column("call_order", "spec")
    op.add_column(
        "organization", sa.Column("default_timezone", sa.String(length=60), nullable=True)
    )
    op.add_column("organization", sa.Column("allowed_countries", sa.Text(), nullable=True))
    op.add_column(
        "organization",
        sa.Column("consent_required", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("organization", sa.Column("attempts_per_day", sa.Integer(), nullable=True))
    op.add_column(
        "trunk", sa.Column("calls_per_second", sa.Double(), nullable=False, server_default="1")
    )
    op.add_column(
        "trunk",
        sa.Column("max_concurrent_calls", sa.Integer(), nullable=False, server_default="10"),
    )
    op.add_column(
        "trunk", sa.Column("price_per_minute", sa.Double(), nullable=False, server_default="0")
    )


def _keep_specs() -> None:
    """Move each assistant's and each order's spec into a version row of its own.

    Orders of the release before were dialled at any hour and had one attempt.
    """
    bind = op.get_bind()
    versions = sa.table(
        "assistant_version",
        *(
            sa.column(n)
            for n in ("id", "organization_id", "assistant_id", "version", "spec", "created_at")
        ),
    )
    known: dict[tuple[str, int], str] = {}

    def keep(row: sa.Row, assistant_id: str | None, version: int, created_at: int) -> str:
        key = (assistant_id or row.id, version)
        if key not in known:
            known[key] = new_id()
            bind.execute(
                versions.insert().values(
                    id=known[key],
                    organization_id=row.organization_id,
                    assistant_id=assistant_id,
                    version=version,
                    spec=row.spec,
                    created_at=created_at,
                )
            )
        return known[key]

    for row in bind.execute(
        sa.text("SELECT id, organization_id, version, spec, updated_at FROM assistant")
    ).all():
        bind.execute(
            sa.text("UPDATE assistant SET version_id = :v WHERE id = :id"),
            {"v": keep(row, row.id, row.version, row.updated_at), "id": row.id},
        )
    always = json.dumps(
        {
            "allowed_days": [
                "monday",
                "tuesday",
                "wednesday",
                "thursday",
                "friday",
                "saturday",
                "sunday",
            ],
            "calling_windows": [
                {"calling_window_start_time": "00:00", "calling_window_end_time": "24:00"}
            ],
            "max_retry_attempts": 1,
        }
    )
    rows = bind.execute(
        sa.text(
            "SELECT id, organization_id, assistant_id, assistant_version, spec, created_at, status"
            " FROM call_order"
        )
    ).all()
    for row in rows:
        bind.execute(
            sa.text(
                "UPDATE call_order SET assistant_version_id = :v, retry_config = :config,"
                " zones = '[\"UTC\"]', deadline_at = :deadline WHERE id = :id"
            ),
            {
                "v": keep(row, row.assistant_id, row.assistant_version, row.created_at),
                "config": always,
                "deadline": None if row.status in _FINAL else row.created_at + _WEEK_US,
                "id": row.id,
            },
        )
