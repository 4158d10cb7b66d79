"""Signs of life of processes, on the database's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db.models.history import Heartbeat

API = "api"
INTERVAL_SECS = 3.0
STALE = timedelta(seconds=10)
_FORGET = timedelta(hours=1)


async def beat(db: AsyncSession, kind: str, name: str, *, now: datetime) -> None:
    """Say that the process `name` lives."""
    await db.merge(Heartbeat(name=name, kind=kind, at=now))
    await db.execute(delete(Heartbeat).where(Heartbeat.at < now - _FORGET))


async def alive(db: AsyncSession, kind: str, *, now: datetime) -> bool:
    """Return whether a process of that kind has given a sign of life lately."""
    last = await db.scalar(select(func.max(Heartbeat.at)).where(Heartbeat.kind == kind))
    return last is not None and now - last <= 2 * timedelta(seconds=INTERVAL_SECS)
