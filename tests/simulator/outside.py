"""The outside: rooms, agents, the SIP service, and the far end with its own log of INVITEs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from control_plane.domain.brief import DispatchMetadata
from scheduler.rooms import DEPARTURE_TIMEOUT_S, EMPTY_TIMEOUT_S, Present, RoomTrouble
from sip.ports import Answered, DialFailure, DialFailureKind, DialRequest, TooLate
from tests.simulator.agents import Agent
from tests.simulator.plan import AgentPlan, DialOutcome
from tests.simulator.world import CURRENT, Process, World

_K = DialFailureKind
LINGER_S = 20.0
"""How long livekit-server shows a participant whose process died."""


@dataclass
class Room:
    """A room; its participants by identity, with the SIP service's word for a phone."""

    agents: set[str] = field(default_factory=set)
    phones: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def change(self) -> None:
        """Let everybody in it see that something changed."""
        self.changed.set()
        self.changed = asyncio.Event()


class Rooms:
    """livekit-server: rooms, and the dispatch of agents."""

    def __init__(self, world: World, api: Process):
        self.open_rooms: dict[str, Room] = {}
        self._world = world
        self._api = api
        self._agents = list(world.plan.agents)

    async def open(
        self, room_name: str, *, agent_name: str, metadata: str, departure_timeout_s: int = 20
    ) -> None:
        """Make the room and send for an agent."""
        await self._reach()
        self.open_rooms.setdefault(room_name, Room())
        await self.send_agent(room_name, agent_name=agent_name, metadata=metadata)
        self._world.loop.call_later(EMPTY_TIMEOUT_S, self.vanish, room_name)

    async def send_agent(self, room_name: str, *, agent_name: str, metadata: str) -> None:
        """Send for an agent."""
        room = self.open_rooms[room_name]
        told = msgspec.json.decode(metadata, type=DispatchMetadata)
        plan = self._agents.pop(0) if self._agents else AgentPlan()
        self._world.note("rooms", f"an agent is sent to {room_name}, which {plan.kind}")
        agent = Agent(self._world, self.api_of, room, told.attempt_id or "", told.epoch, plan)
        work = self._world.loop.create_task(agent.run())
        later = self._world.loop.call_later
        work.add_done_callback(lambda _: later(DEPARTURE_TIMEOUT_S, self.vanish, room_name))

    def api_of(self) -> Process:
        """Return the API process of now."""
        return self._api

    def use_api(self, api: Process) -> None:
        """Let agents report to a new API process."""
        self._api = api

    async def who(self, room_name: str) -> list[Present]:
        """Return who is there."""
        await self._reach()
        room = self.open_rooms.get(room_name)
        if room is None:
            return []
        agents = [Present(identity=name, is_agent=True, is_phone=False) for name in room.agents]
        return agents + [
            Present(identity=name, is_agent=False, is_phone=True, call_status=status)
            for name, status in room.phones.items()
        ]

    async def names(self) -> list[str]:
        """Return the rooms that are open."""
        await self._reach()
        return list(self.open_rooms)

    async def close(self, room_name: str) -> None:
        """End the room; who is in it is sent away."""
        await self._reach()
        room = self.open_rooms.pop(room_name, None)
        if room is not None:
            self._world.note("rooms", f"{room_name} closed")
            room.closed = True
            room.change()

    async def put_out(self, room_name: str, identity: str) -> None:
        """Hang up one phone of the room."""
        await self._reach()
        room = self.open_rooms.get(room_name)
        if room is not None and room.phones.pop(identity, None) is not None:
            self._world.note("rooms", f"{identity} put out of {room_name}")
            room.change()

    def vanish(self, room_name: str) -> None:
        """Close a room that everybody has left."""
        room = self.open_rooms.get(room_name)
        if room is not None and not room.agents and not room.phones:
            del self.open_rooms[room_name]
            room.closed = True
            room.change()

    async def _reach(self) -> None:
        process = CURRENT.get()
        await asyncio.sleep(0.002)
        if process is not None:
            await process.passes()
        at = self._world.loop.time()
        if any(begin <= at < end for begin, end in self._world.plan.livekit_troubles):
            raise RoomTrouble("livekit-server does not answer")


@dataclass
class Invite:
    """What the far end saw of one INVITE."""

    at: float
    attempt_id: str
    number: str
    trunk: str
    outcome: DialOutcome
    answered_at: float | None = None
    ended_at: float | None = None


class SipService:
    """Places calls; its own log of INVITEs is what the invariants are judged by."""

    def __init__(self, world: World, rooms: Rooms):
        self.invites: list[Invite] = []
        self._world = world
        self._rooms = rooms
        self._outcomes = {number: list(some) for number, some in world.plan.outcomes.items()}

    async def dial(self, request: DialRequest) -> Answered | DialFailure | TooLate:
        """Return once the call is answered or has failed."""
        process = CURRENT.get()
        if process is not None:
            await process.passes()
        if request.dial_before is not None and self._world.clock() > request.dial_before:
            self._world.note("far end", f"{request.room_name} came too late")
            return TooLate()
        script = self._outcomes.get(request.to_number)
        outcome = script.pop(0) if script else DialOutcome("answer", after=0.5, talk=1.0)
        reply: asyncio.Future[Answered | DialFailure] = self._world.loop.create_future()
        self._world.loop.create_task(self._carry(request, outcome, reply))
        result = await asyncio.shield(reply)
        if process is not None:
            await process.passes()
        return result

    async def _carry(
        self,
        request: DialRequest,
        outcome: DialOutcome,
        reply: asyncio.Future[Answered | DialFailure],
    ) -> None:
        if outcome.kind == "service_down":
            _set(reply, DialFailure(kind=_K.SERVICE_UNAVAILABLE, sip_reason="connection refused"))
            return
        invite = self._invite(request, outcome)
        room = self._rooms.open_rooms.setdefault(request.room_name, Room())
        room.phones[request.participant_identity] = "dialing"
        room.change()
        if outcome.kind.startswith("unknown"):
            self._world.loop.call_later(
                outcome.lost_after, _set, reply, DialFailure(kind=_K.OUTCOME_UNKNOWN)
            )
        failure = await self._ring(request, outcome, room)
        if failure is None:
            invite.answered_at = self._world.loop.time()
            room.phones[request.participant_identity] = "active"
            room.change()
            self._world.note("far end", f"answered {invite.attempt_id}")
            if not outcome.kind.startswith("unknown"):
                _set(reply, Answered(f"SCL_{len(self.invites)}"))
            await self._talk(request, outcome, room)
        invite.ended_at = self._world.loop.time()
        self._world.note("far end", f"over {invite.attempt_id}")
        room.phones.pop(request.participant_identity, None)
        room.change()
        self._world.loop.call_later(DEPARTURE_TIMEOUT_S, self._rooms.vanish, request.room_name)
        if failure is not None and not outcome.kind.startswith("unknown"):
            _set(reply, failure)

    def _invite(self, request: DialRequest, outcome: DialOutcome) -> Invite:
        invite = Invite(
            at=self._world.loop.time(),
            attempt_id=request.room_name.removeprefix("call-"),
            number=request.to_number,
            trunk=request.sip_trunk_id,
            outcome=outcome,
        )
        self.invites.append(invite)
        what = f"INVITE {invite.attempt_id} to {invite.number} by {invite.trunk}, {outcome}"
        self._world.note("far end", what)
        return invite

    async def _ring(
        self, request: DialRequest, outcome: DialOutcome, room: Room
    ) -> DialFailure | None:
        """Return why nobody answered; None when somebody did."""
        limit = float(request.ringing_timeout_s)
        after, failure = outcome.after, None
        match outcome.kind:
            case "status":
                auth = outcome.status in {401, 407}
                kind = _K.AUTHENTICATION if auth else _K.BAD_REQUEST
                failure = DialFailure(kind=kind, sip_status=outcome.status, sip_reason="no")
            case "no_answer":
                after, failure = limit, DialFailure(kind=_K.RING_TIMEOUT)
            case "edge":
                after = limit + outcome.after
                if after > limit:
                    after, failure = limit, DialFailure(kind=_K.RING_TIMEOUT)
            case "kind":
                after, failure = 0.1, DialFailure(kind=_K.MEDIA, sip_reason="no codec")
            case "unknown_dead":
                after, failure = 0.0, DialFailure(kind=_K.OUTCOME_UNKNOWN)
        if await self._closes(room, after):
            return DialFailure(kind=_K.BAD_REQUEST, sip_reason="the room is gone")
        return failure

    async def _talk(self, request: DialRequest, outcome: DialOutcome, room: Room) -> None:
        """Return once one of both sides has hung up."""
        talk = min(outcome.talk, float(request.max_call_duration_s))
        if outcome.human:
            await self._closes(room, talk)
        else:  # a voicemail listens until somebody ends the call
            await self._closes(room, float(request.max_call_duration_s))

    async def _closes(self, room: Room, within: float) -> bool:
        """Return True once the room is closed, False if it is not within that time."""
        until = self._world.loop.time() + within
        while not room.closed:
            left = until - self._world.loop.time()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(left):
                    await room.changed.wait()
            except TimeoutError:
                return room.closed
        return True


class TrunkKeeper:
    """Trunks are at the SIP service from the beginning."""

    async def apply(self, *, check_all: bool = False) -> None:
        """Nothing is missing."""


def _set(reply: asyncio.Future[Answered | DialFailure], result: Answered | DialFailure) -> None:
    if not reply.done():
        reply.set_result(result)
