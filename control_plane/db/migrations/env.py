"""Alembic's entry: runs on the connection that `control_plane.db.migrate` hands over."""

from __future__ import annotations

from alembic import context

from control_plane.db.models.registry import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
)
context.run_migrations()
