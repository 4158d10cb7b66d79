"""Signs of life: the scheduler's own row, and the dispatch leases it holds."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.history import Heartbeat
from control_plane.sessions import leases
from scheduler.dispatch import Dispatcher

KIND = "scheduler"
_FORGET = timedelta(hours=1)


async def beat(database: Database, name: str, dispatcher: Dispatcher) -> None:
    """Say that this scheduler lives, and keep what it is dialling."""
    async with database.transaction() as db:
        now = await read_clock(db)
        await db.merge(Heartbeat(name=name, kind=KIND, at=now))
        await db.execute(delete(Heartbeat).where(Heartbeat.at < now - _FORGET))
        if dispatcher.held:
            await leases.renew_dispatch(db, dispatcher.held, now=now)
