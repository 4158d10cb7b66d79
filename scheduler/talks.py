"""Conversations that go on without an agent are watched here, to their end.

The agent's lease is gone with the agent. What the room shows decides: either of the two who talk
hangs up both, and so does the longest talk there may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.human_leg import TALK_LIMIT, Talk, over
from control_plane.domain.reconcile import ACTIVE
from control_plane.domain.transitions import ConversationEnded
from control_plane.orders import lifecycle
from control_plane.sessions import humans, leases
from control_plane.sessions.calls import Call
from process.logs import get_logger
from scheduler.humans import HumanDialer
from scheduler.rooms import Present, Rooms, RoomTrouble

log = get_logger(__name__)


class TalkWatch:
    """Ends what is over, and finds out about dials whose scheduler died."""

    def __init__(self, database: Database, rooms: Rooms, dialer: HumanDialer):
        self._database = database
        self._rooms = rooms
        self._dialer = dialer
        self._ending: dict[str, str] = {}
        """Talks that one look found to be over, and why: a second one confirms it."""
        self._gone: set[str] = set()
        """Legs whose participant one look did not find."""

    async def check(self) -> None:
        """Look once at every talk, and at every human's leg that is nobody's."""
        async with self._database.reading() as db:
            is_any_open = await humans.is_any_open(db)
        if not is_any_open:  # nearly always, and it is asked twice a second
            self._ending.clear()
            self._gone.clear()
            return
        await self._check_talks()
        await self._check_forsaken()
        await self._hang_up_late_dials()

    async def _check_talks(self) -> None:
        async with self._database.reading() as db:
            talks, now = await humans.talks(db), await read_clock(db)
        seen: dict[str, str] = {}
        for call, human in talks:
            try:
                why = await self._judge(call, human, now)
            except RoomTrouble as exc:
                log.debug("a talk cannot be looked into", attempt_id=call.id, error=exc)
                continue
            if why is not None and self._ending.get(call.id) == why:
                await self._end(call.id, why)
            elif why is not None:
                seen[call.id] = why
        self._ending = seen

    async def _judge(self, call: Call, human: str, now: datetime) -> str | None:
        since = call.session.handed_over_at
        present = await self._rooms.who(call.session.room_name)
        return over(
            Talk(
                person_is_there=_find(present, call.leg.participant_identity) is not None,
                human_is_there=_find(present, human) is not None,
                overdue=since is not None and since + TALK_LIMIT < now,
            )
        )

    async def _end(self, session_id: str, why: str) -> None:
        async with self._database.transaction() as db:
            order, call = await leases.lock(db, session_id, epoch=None)
            if call.session.closed_at is not None:
                return
            ended = ConversationEnded(
                at=await read_clock(db),
                ended_by=EndedBy.AGENT,
                end_reason=EndReason.TRANSFER,
                result=AttemptResult.HUMAN,
                detail=why,
            )
            await lifecycle.apply(db, order, call, ended)

    async def _check_forsaken(self) -> None:
        async with self._database.reading() as db:
            legs = await humans.forsaken(db, await read_clock(db))
        self._gone &= {leg.id for leg, _ in legs}
        for leg, room_name in legs:
            try:
                present = await self._rooms.who(room_name)
            except RoomTrouble as exc:
                log.warning("a room cannot be looked into", attempt_id=leg.session_id, error=exc)
                continue
            there = _find(present, leg.participant_identity)
            if there is not None and there.call_status in ACTIVE:
                await self._dialer.answered(leg.session_id, leg.id, "")
            elif there is None and leg.id in self._gone:
                await self._dialer.lost(leg.session_id, leg.id)
            elif there is None:
                self._gone.add(leg.id)

    async def _hang_up_late_dials(self) -> None:
        """Close rooms that a dial made anew after their conversation was over."""
        async with self._database.reading() as db:
            rooms = await humans.without_a_call(db)
        for each in rooms:
            try:
                await self._rooms.close(each)
            except RoomTrouble as exc:
                log.warning("a room was not deleted", room=each, error=exc)


def _find(present: Sequence[Present], identity: str) -> Present | None:
    return next((each for each in present if each.identity == identity), None)
