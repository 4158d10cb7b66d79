"""In-memory rooms, agents, SIP service: real ports, driven by a script."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec

from control_plane.db.engine import Database
from control_plane.domain.brief import DispatchMetadata
from control_plane.domain.events import AgentReady, CallEvent, EventBatch
from control_plane.internal.reports import store
from scheduler.rooms import Present, RoomTrouble
from sip.ports import (
    AgentRule,
    Answered,
    DialFailure,
    DialRequest,
    InboundTrunk,
    OutboundTrunk,
    SipTrouble,
)

AtRoom = Callable[[DispatchMetadata], Awaitable[None]]


class FakeRooms:
    """Rooms that remember; `journal` holds what was done, in order."""

    def __init__(self, journal: list[str]):
        self.journal = journal
        self.present: dict[str, list[Present]] = {}
        self.broken = False
        self.agent: AtRoom | None = None

    async def open(
        self, room_name: str, *, agent_name: str, metadata: str, departure_timeout_s: int = 20
    ) -> None:
        self._must_work()
        self.journal.append("room opened")
        self.present.setdefault(room_name, [])
        await self.send_agent(room_name, agent_name=agent_name, metadata=metadata)

    async def send_agent(self, room_name: str, *, agent_name: str, metadata: str) -> None:
        self._must_work()
        if self.agent is not None:
            await self.agent(msgspec.json.decode(metadata, type=DispatchMetadata))

    async def who(self, room_name: str) -> list[Present]:
        self._must_work()
        return self.present.get(room_name, [])

    async def names(self) -> list[str]:
        self._must_work()
        return list(self.present)

    async def close(self, room_name: str) -> None:
        self._must_work()
        self.journal.append("room closed")
        self.present.pop(room_name, None)

    async def put_out(self, room_name: str, identity: str) -> None:
        self._must_work()
        self.journal.append(f"{identity} put out")
        there = self.present.get(room_name, [])
        self.present[room_name] = [each for each in there if each.identity != identity]

    def _must_work(self) -> None:
        if self.broken:
            raise RoomTrouble("connection refused")


class FakeSip:
    """A SIP service that answers dials by script, and keeps trunks in memory."""

    def __init__(self, journal: list[str]):
        self.journal = journal
        self.answer: Answered | DialFailure = Answered("SCL_1")
        self.dialled: list[DialRequest] = []
        self.ringing = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.kept: dict[str, OutboundTrunk | InboundTrunk | AgentRule] = {}
        self.down = False
        self._numbers = itertools.count(100)

    async def dial(self, request: DialRequest) -> Answered | DialFailure:
        self.journal.append("dialled")
        self.dialled.append(request)
        self.ringing.set()
        if self.hold is not None:
            await self.hold.wait()
        return self.answer

    async def known(self) -> frozenset[str]:
        self._must_work()
        return frozenset(self.kept)

    async def apply_outbound(self, trunk: OutboundTrunk, sip_trunk_id: str | None) -> str:
        return self._keep("ST", trunk, sip_trunk_id)

    async def apply_inbound(self, trunk: InboundTrunk, sip_trunk_id: str | None) -> str:
        return self._keep("ST", trunk, sip_trunk_id)

    async def apply_rule(self, rule: AgentRule, rule_id: str | None) -> str:
        return self._keep("SDR", rule, rule_id)

    async def remove(self, *, sip_trunk_id: str | None, rule_id: str | None) -> None:
        self._must_work()
        for key in (sip_trunk_id, rule_id):
            self.kept.pop(key or "", None)

    def _keep(
        self, prefix: str, thing: OutboundTrunk | InboundTrunk | AgentRule, key: str | None
    ) -> str:
        self._must_work()
        key = key or f"{prefix}_{next(self._numbers)}"
        self.kept[key] = thing
        return key

    def _must_work(self) -> None:
        if self.down:
            raise SipTrouble("connection refused")


def ready_agent(database: Database, journal: list[str]) -> AtRoom:
    """Return an agent that reports ready as soon as it is dispatched."""

    async def arrive(metadata: DispatchMetadata) -> None:
        journal.append("agent ready")
        event = AgentReady(seq=1, at=0.0)
        await report(database, metadata.attempt_id or "", metadata.epoch, event)

    return arrive


async def report(database: Database, attempt_id: str, epoch: int, *events: CallEvent) -> None:
    """Store events as the internal API does."""
    async with database.transaction() as session:
        await store(session, attempt_id, EventBatch(epoch=epoch, events=list(events)))
