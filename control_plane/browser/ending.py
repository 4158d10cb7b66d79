"""A browser session is ended by the API: rows alone, whoever holds its room is told by them."""

from __future__ import annotations

from control_plane.browser import repository
from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.db.models.session import Session
from control_plane.domain.browser import OVER
from control_plane.domain.errors import Conflict
from control_plane.domain.transitions import CancelRequested
from control_plane.sessions import leases, lifecycle
from control_plane.sessions.browsers import status_of


async def end(database: Database, organization_id: str, session_id: str) -> Session:
    """Return the session: over before anybody has spoken in it, else about to close.

    Raises:
        NotFound: this organization has no such browser session.
        Conflict: it is over, and was not ended by the API.
    """
    async with database.transaction() as db:
        await repository.get(db, organization_id, session_id)
        _, call = await leases.lock(db, session_id, epoch=None)
        status = status_of(call.session)
        if status in OVER and call.session.cancel_requested_at is None:
            raise Conflict(f"the session is already {status}; nothing is left to end")
        await lifecycle.apply(db, call, CancelRequested(at=await read_clock(db)))
    return call.session
