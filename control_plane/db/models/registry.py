"""Every table in one place, for migrations and tests."""

from __future__ import annotations

from sqlalchemy import MetaData

from control_plane.db.base import Base
from control_plane.db.models import (
    assistant,
    attempt,
    call_order,
    campaign,
    compliance,
    history,
    job,
    organization,
    preset,
    public_key,
    recording,
    session,
    trunk,
    webhook,
)

MODULES = (
    organization,
    assistant,
    trunk,
    campaign,
    call_order,
    session,
    attempt,
    recording,
    history,
    compliance,
    webhook,
    job,
    preset,
    public_key,
)
METADATA: MetaData = Base.metadata
