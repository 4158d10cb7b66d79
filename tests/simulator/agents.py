"""Simulated agents: they report through the real `control_plane.internal.reports`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.domain import events
from control_plane.domain.errors import StaleEpoch, TokenUsed
from control_plane.domain.events import AttemptResult, CallEvent, EndedBy, EndReason, EventBatch
from control_plane.internal import briefs
from control_plane.internal.reports import store
from control_plane.keys.tokens import Claims, Scope
from control_plane.sessions.leases import HEARTBEAT_SECS
from tests.simulator.plan import AgentPlan
from tests.simulator.storage import OWNER, Injected
from tests.simulator.world import Killed, Process, World

if TYPE_CHECKING:
    from tests.simulator.outside import Room

_TRIES = 60
_FROZEN_S = 45.0
_LINGER_S = 20.0
_ASKS_AFTER_S = 0.05
"""For its brief, which is the first that an agent does."""


class Lost(Exception):
    """The control plane refused the session: somebody else has closed its books."""


class Agent:
    """One job of the worker: joins, reports ready, talks, reports the end."""

    def __init__(
        self,
        world: World,
        api: Callable[[], Process],
        room: Room,
        attempt_id: str,
        epoch: int,
        plan: AgentPlan,
    ):
        self._world = world
        self._api = api
        self._room = room
        self._attempt_id = attempt_id
        self._epoch = epoch
        self._plan = plan
        self._seq = 0
        self._name = f"agent-{attempt_id}"
        self._silent_after = float("inf")
        self._frozen = False

    async def run(self) -> None:
        """Do what the plan says."""
        OWNER.set((self._attempt_id, self._epoch))
        if self._plan.kind == "never":
            return
        await asyncio.sleep(_ASKS_AFTER_S)
        claims = Claims(self._attempt_id, self._epoch, Scope.BRIEF)
        try:
            await self._insist(lambda db: briefs.open_brief(db, claims, now=self._world.now()))
        except Lost:  # another agent has it, or the attempt is over
            return
        await asyncio.sleep(self._plan.delay)
        if self._room.closed:
            return
        self._room.agents.add(self._name)
        if self._plan.kind in {"dies", "freezes"}:
            self._silent_after = self._world.loop.time() + self._plan.after
        try:
            with contextlib.suppress(Lost):
                await self._work()
        except _Dead:
            await asyncio.sleep(_LINGER_S)
        self._room.agents.discard(self._name)
        self._room.change()

    async def _work(self) -> None:
        if self._plan.kind == "gives_up":
            await self._end(EndedBy.SYSTEM, EndReason.PROVIDER_FAILED, human=False)
            return
        await self._report(events.AgentReady)
        if not await self._until(lambda: self._active() or self._left()):
            return
        if not self._active():
            await self._end(EndedBy.USER, EndReason.NOT_ANSWERED, human=False)
            return
        await self._report(events.CallAnswered, sip_call_id="SCL_x")
        human = self._world.chance.random() < 0.7
        if human:
            await self._report(events.ItemSaid, role=events.Role.USER, content="Yes?")
        hangs_up = self._world.loop.time() + self._world.chance.choice((0.5, 2.0, 12.0))
        await self._until(lambda: not self._active(), until=hangs_up)
        by_us = self._active() and not self._room.closed
        reason = EndReason.TOOL_END_CALL if by_us else None
        ended_by = EndedBy.AGENT if by_us else EndedBy.USER
        await self._end(ended_by, reason, human=human)

    async def _end(self, ended_by: EndedBy, reason: EndReason | None, *, human: bool) -> None:
        result = AttemptResult.HUMAN if human else AttemptResult.UNKNOWN
        await self._report(events.CallEnded, ended_by=ended_by, end_reason=reason, result=result)

    def _active(self) -> bool:
        return "active" in self._room.phones.values()

    def _left(self) -> bool:
        """Return whether the person was there and is not any more."""
        seen, self._seen = getattr(self, "_seen", False), bool(self._room.phones)
        self._seen = self._seen or seen
        return seen and not self._room.phones

    async def _until(self, condition: Callable[[], bool], *, until: float = float("inf")) -> bool:
        """Wait, with signs of life; False if the room was closed before anything was answered."""
        limit = min(until, self._world.loop.time() + 120.0)
        while not condition():
            if self._room.closed:
                return condition()
            changed, now = self._room.changed, self._world.loop.time()
            if now >= limit:
                return True
            try:
                async with asyncio.timeout(min(HEARTBEAT_SECS, limit - now)):
                    await changed.wait()
            except TimeoutError:
                if self._world.loop.time() < limit:
                    await self._report(events.AgentAlive)
        return True

    async def _report(self, kind: type[Any], **facts: Any) -> None:
        self._seq += 1
        at = self._world.now().timestamp()
        batch = [kind(seq=self._seq, at=at, **facts)]
        await self._send(batch)
        if self._plan.duplicates:
            await self._send(batch)

    async def _send(self, batch: list[CallEvent]) -> None:
        """Send until stored, as the reporter does."""
        told = EventBatch(epoch=self._epoch, events=batch)
        await self._insist(lambda db: store(db, self._attempt_id, told))

    async def _insist(self, write: Callable[[AsyncSession], Awaitable[object]]) -> None:
        """Have the API write something, asking until it answers."""
        delay = 0.2
        for _ in range(_TRIES):
            await self._lives()
            api = self._api()
            try:
                await asyncio.sleep(0.002)
                if not api.alive:
                    raise Killed
                async with api.database.transaction() as session:
                    await write(session)
            except (StaleEpoch, TokenUsed) as exc:
                raise Lost from exc
            except (Injected, Killed):
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            else:
                return
        raise Lost

    async def _lives(self) -> None:
        """Die or freeze if the time has come."""
        if self._world.loop.time() < self._silent_after:
            return
        if self._plan.kind == "dies":
            self._world.note(self._name, "died")
            raise _Dead
        self._silent_after = float("inf")
        self._world.note(self._name, "frozen")
        await asyncio.sleep(_FROZEN_S)


class _Dead(Exception):
    """The worker's process is gone."""
