"""the first phone call

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.create_index(
        op.f("ix_api_key_organization_id"), "api_key", ["organization_id"], unique=False
    )
    op.create_table(
        "assistant",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_assistant_organization_id"), "assistant", ["organization_id"], unique=False
    )
    op.create_index(
        "one_default_assistant",
        "assistant",
        ["organization_id"],
        unique=True,
        sqlite_where=sa.text("is_default AND deleted_at IS NULL"),
        postgresql_where=sa.text("is_default AND deleted_at IS NULL"),
    )
    op.create_table(
        "call_order",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("to_phone_number", sa.String(length=100), nullable=False),
        sa.Column("from_phone_number", sa.String(length=100), nullable=True),
        sa.Column("assistant_id", sa.String(length=36), nullable=True),
        sa.Column("assistant_version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("prompt_variables", sa.Text(), nullable=False),
        sa.Column("call_metadata", sa.Text(), nullable=False),
        sa.Column("force_now", sa.Boolean(), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("waiting_rule", sa.String(length=50), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("calls_count", sa.Integer(), nullable=False),
        sa.Column("uncounted_in_a_row", sa.Integer(), nullable=False),
        sa.Column("cancel_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "call_order_due",
        "call_order",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("call_order_listing", "call_order", ["organization_id", "id"], unique=False)
    op.create_index(
        "call_order_number", "call_order", ["organization_id", "to_phone_number"], unique=False
    )
    op.create_table(
        "secret",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.Column("hint", sa.String(length=4), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_secret_organization_id"), "secret", ["organization_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("room_name", sa.String(length=300), nullable=False),
        sa.Column("participant_identity", sa.String(length=300), nullable=False),
        sa.Column("to_phone_number", sa.String(length=100), nullable=False),
        sa.Column("from_phone_number", sa.String(length=100), nullable=False),
        sa.Column("trunk_id", sa.String(length=36), nullable=True),
        sa.Column("dispatch_lease_until", sa.BigInteger(), nullable=True),
        sa.Column("call_lease_until", sa.BigInteger(), nullable=True),
        sa.Column("brief_taken_at", sa.BigInteger(), nullable=True),
        sa.Column("last_event_seq", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("agent_ready_at", sa.BigInteger(), nullable=True),
        sa.Column("dialing_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("agent_ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("room_deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("dial_error", sa.String(length=40), nullable=True),
        sa.Column("sip_status", sa.Integer(), nullable=True),
        sa.Column("sip_reason", sa.String(length=300), nullable=True),
        sa.Column("sip_call_id", sa.String(length=300), nullable=True),
        sa.Column("result", sa.String(length=40), nullable=True),
        sa.Column("ended_by", sa.String(length=40), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("recording_state", sa.String(length=40), nullable=False),
        sa.Column("recording_path", sa.String(length=300), nullable=True),
        sa.Column("recording_size", sa.BigInteger(), nullable=True),
        sa.Column("recording_duration_ms", sa.Integer(), nullable=True),
        sa.Column("recording_sha256", sa.String(length=64), nullable=True),
        sa.Column("recording_finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["call_order.id"],
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("room_name"),
    )
    op.create_index(
        "attempt_spooled",
        "attempt",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("recording_state = 'spooling'"),
        postgresql_where=sa.text("recording_state = 'spooling'"),
    )
    op.create_index(
        "attempt_unfinished",
        "attempt",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("room_deleted_at IS NULL"),
        postgresql_where=sa.text("room_deleted_at IS NULL"),
    )
    op.create_index(op.f("ix_attempt_order_id"), "attempt", ["order_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["call_order.id"],
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "outbox_pending",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "provider_key",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("secret_id", sa.String(length=36), nullable=False),
        sa.Column("api_url", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(
            ["secret_id"],
            ["secret.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_provider_key_organization_id"), "provider_key", ["organization_id"], unique=False
    )
    op.create_table(
        "trunk",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=300), nullable=True),
        sa.Column("transport", sa.String(length=5), nullable=False),
        sa.Column("username", sa.String(length=200), nullable=True),
        sa.Column("secret_id", sa.String(length=36), nullable=True),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("allowed_addresses", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("sip_trunk_id", sa.String(length=100), nullable=True),
        sa.Column("sip_rule_id", sa.String(length=100), nullable=True),
        sa.Column("applied_hash", sa.String(length=64), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("apply_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(
            ["secret_id"],
            ["secret.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_trunk_organization_id"), "trunk", ["organization_id"], unique=False)
    op.create_table(
        "call_event",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("order_id", sa.String(length=36), nullable=False),
        sa.Column("attempt_id", sa.String(length=36), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempt.id"],
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["call_order.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("call_event_order", "call_event", ["order_id", "sequence"], unique=True)
    op.create_index(op.f("ix_call_event_attempt_id"), "call_event", ["attempt_id"], unique=False)
    op.create_table(
        "number",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("phone_number", sa.String(length=20), nullable=False),
        sa.Column("trunk_id", sa.String(length=36), nullable=True),
        sa.Column("assistant_id", sa.String(length=36), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assistant_id"],
            ["assistant.id"],
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(
            ["trunk_id"],
            ["trunk.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("phone_number"),
    )
    op.create_index(op.f("ix_number_organization_id"), "number", ["organization_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_number_organization_id"), table_name="number")
    op.drop_table("number")
    op.drop_index(op.f("ix_call_event_attempt_id"), table_name="call_event")
    op.drop_index("call_event_order", table_name="call_event")
    op.drop_table("call_event")
    op.drop_index(op.f("ix_trunk_organization_id"), table_name="trunk")
    op.drop_table("trunk")
    op.drop_index(op.f("ix_provider_key_organization_id"), table_name="provider_key")
    op.drop_table("provider_key")
    op.drop_index(
        "outbox_pending",
        table_name="outbox",
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.drop_table("outbox")
    op.drop_index(op.f("ix_attempt_order_id"), table_name="attempt")
    op.drop_index(
        "attempt_unfinished",
        table_name="attempt",
        sqlite_where=sa.text("room_deleted_at IS NULL"),
        postgresql_where=sa.text("room_deleted_at IS NULL"),
    )
    op.drop_index(
        "attempt_spooled",
        table_name="attempt",
        sqlite_where=sa.text("recording_state = 'spooling'"),
        postgresql_where=sa.text("recording_state = 'spooling'"),
    )
    op.drop_table("attempt")
    op.drop_index(op.f("ix_secret_organization_id"), table_name="secret")
    op.drop_table("secret")
    op.drop_index("call_order_number", table_name="call_order")
    op.drop_index("call_order_listing", table_name="call_order")
    op.drop_index(
        "call_order_due",
        table_name="call_order",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("call_order")
    op.drop_index(
        "one_default_assistant",
        table_name="assistant",
        sqlite_where=sa.text("is_default AND deleted_at IS NULL"),
        postgresql_where=sa.text("is_default AND deleted_at IS NULL"),
    )
    op.drop_index(op.f("ix_assistant_organization_id"), table_name="assistant")
    op.drop_table("assistant")
    op.drop_index(op.f("ix_api_key_organization_id"), table_name="api_key")
    op.drop_table("api_key")
    op.drop_table("organization")
    op.drop_table("heartbeat")
