"""Every table in one place, for migrations and tests."""

from __future__ import annotations

from sqlalchemy import MetaData

from control_plane.db.base import Base
from control_plane.db.models import assistant, attempt, call_order, history, organization, trunk

MODULES = (organization, assistant, trunk, call_order, attempt, history)
METADATA: MetaData = Base.metadata
