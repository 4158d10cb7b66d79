"""Cancelled orders whose call is live: the room ends, and with it the call."""

from __future__ import annotations

import asyncio

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.errors import StaleEpoch
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.transitions import ConversationEnded
from control_plane.orders import lifecycle, repository
from control_plane.sessions import leases
from control_plane.sessions.calls import Call
from process import crash_points
from process.logs import get_logger
from scheduler.rooms import Rooms, RoomTrouble

AGAIN_S = 1.0
log = get_logger(__name__)


class Canceller:
    """Ends the rooms of cancelled orders."""

    def __init__(self, database: Database, rooms: Rooms):
        self._database = database
        self._rooms = rooms
        self._ended: dict[str, tuple[AttemptStatus, float]] = {}

    async def end_cancelled(self) -> None:
        """End every live call whose order was cancelled; CANCEL or BYE follows at once."""
        async with self._database.reading() as db:
            cancelled = await repository.cancelled_calls(db)
        now = asyncio.get_running_loop().time()
        live = {call.id for call in cancelled}
        self._ended = {key: told for key, told in self._ended.items() if key in live}
        await asyncio.gather(
            *(
                self._end(call, now)
                for call in cancelled
                if call.session.status is not AttemptStatus.QUEUED
                and not self._was_just_told(call, now)
            )
        )

    async def _end(self, call: Call, now: float) -> None:
        try:
            await self._rooms.close(call.session.room_name)
            self._ended[call.id] = call.session.status, now
            if call.session.status is AttemptStatus.ONGOING:
                await self._close(call.id, call.session.epoch)
        except RoomTrouble as exc:
            log.warning("a cancelled call goes on", attempt_id=call.id, error=exc)
        except StaleEpoch:
            log.debug("another process was faster", attempt_id=call.id)

    def _was_just_told(self, call: Call, now: float) -> bool:
        """Return whether the room was closed a moment ago: its dial then reports its own end.

        A dial that arrives after that makes the room anew; so it is closed again.
        """
        status, at = self._ended.get(call.id, (None, 0.0))
        return status is call.session.status and now - at < AGAIN_S

    async def _close(self, attempt_id: str, epoch: int) -> None:
        async with self._database.transaction() as db:
            order, row = await leases.lock(db, attempt_id, epoch=epoch)
            await lifecycle.apply(
                db,
                order,
                row,
                ConversationEnded(
                    at=await read_clock(db),
                    ended_by=EndedBy.SYSTEM,
                    end_reason=EndReason.CANCELLED,
                    result=AttemptResult.UNKNOWN,
                ),
            )
            crash_points.here("before_cancel_commit")
