"""What outbound and inbound calls share: one participant, one phone, one way to end."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from baresip.call import Call
from baresip.events import Event, StackEvent
from livekit import rtc
from livekit.protocol import sip as proto
from livekit.rtc import DisconnectReason

from process.logs import get_logger
from process.short_way.offers import Folder
from sip import holding, line
from sip.gateway.codecs import USUAL, Codecs
from sip.gateway.dtmf import DigitSender, PressedKeys
from sip.gateway.endpoint import Endpoint, hang_up
from sip.gateway.errors import TwirpError
from sip.gateway.ledger import Entry, Ledger
from sip.gateway.line_watch import HOLD_S, LineWatch
from sip.gateway.media import MediaEngine
from sip.gateway.presence import Presence
from sip.gateway.rooms import Hears, Member, RoomSide, Server
from sip.gateway.sources import Gate
from sip.gateway.ways import Ways, offered, with_token

log = get_logger("sip.gateway.calls")

_CHECK_S = 0.5


class Status(enum.StrEnum):
    """The values of the attribute sip.callStatus."""

    DIALING = "dialing"
    RINGING = "ringing"
    AUTOMATION = "automation"
    ACTIVE = "active"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True)
class End:
    """Why a call ended, and what is left to do about it."""

    cause: str
    reason: DisconnectReason.ValueType = DisconnectReason.CLIENT_INITIATED
    show_hangup: bool = False
    error: TwirpError | None = None
    status: int = 0
    lost: str = ""  # why it ended without a BYE of the far end

    @property
    def shown(self) -> dict[str, str]:
        """The participant's last attributes."""
        shown: dict[str, str] = {}
        if self.show_hangup:
            shown["sip.callStatus"] = Status.HANGUP
        if self.status:
            shown["sip.statusCode"] = str(self.status)
        if self.lost:
            shown |= line.lost(self.lost)
        return shown


@dataclass(frozen=True, slots=True)
class Parts:
    """What every call works with."""

    server: Server
    endpoint: Endpoint
    media: MediaEngine
    calls: Calls
    presence: Presence
    short_way: Folder | None = None  # where sound is offered to agents of this machine
    hold_timeout: float = HOLD_S  # seconds for which a far end may hold a call
    codecs: Codecs = USUAL  # that are offered, and preferred


@dataclass(slots=True)
class Calls:
    """All calls of this process, by room and identity, and the tasks that carry them."""

    limit: int
    ledger: Ledger
    active: set[Leg] = field(default_factory=set)
    closing: bool = False
    taken: int = 0  # so far
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether no further call may start."""
        return self.closing or len(self.active) >= self.limit

    def find(self, room: str, identity: str) -> Leg | None:
        """The call that appears as this participant."""
        return next(
            (c for c in self.active if c.member.room == room and c.member.identity == identity),
            None,
        )

    def start(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        """Carry a call in a task of its own until it has ended."""
        self.active.add(leg)
        self.taken += 1
        self.ledger.started(leg.call_id, Entry(leg.member.room, leg.member.identity))
        self.spawn(work).add_done_callback(lambda task: self._over(leg, task))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something small, its handle kept and its failure logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def end_all(self, limit_s: float) -> None:
        """End every call and wait for it, for a bounded time."""
        self.closing = True
        for leg in list(self.active):
            leg.end(End("the gateway stops", show_hangup=True))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)

    def _over(self, leg: Leg, task: asyncio.Task[None]) -> None:
        self.active.discard(leg)
        if not task.cancelled() and task.exception() is None:
            self.ledger.ended(leg.call_id)  # else it may not have left: the next start sees to it

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a call's task failed", exc_info=task.exception())


def media_timeout(*configs: proto.SIPMediaConfig) -> float:
    """The last limit on a silent line that is given, in seconds; 0 when none is."""
    given = [config.media_timeout.ToTimedelta().total_seconds() for config in configs]
    return next((seconds for seconds in reversed(given) if seconds > 0), 0.0)


class Leg:
    """One call: it ends when anything first calls `end`, and `close` then tidies up."""

    def __init__(self, parts: Parts, member: Member, call_id: str, media_timeout: float, rate: int):
        self.parts = parts
        offer = offered(parts.short_way)
        self.member = member = with_token(member, offer)
        self.call_id = call_id
        self.log = log.bind(call=call_id, room=member.room)
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.phone: Call | None = None
        self.bridge = parts.media.open(rate)
        self.room = RoomSide(
            parts.server,
            member,
            Hears(
                self._room_gone,
                self._track,
                lambda sid: self.ways.track_ended(sid),
                self._someone_moved,
                self._digits_for_phone,
                self._shown,
            ),
        )
        self._is_held = holding.is_held(member.attributes)
        self._holds_room = False
        self._line = LineWatch(media_timeout, parts.hold_timeout)
        self.hold_room(False)
        self.ways = Ways(parts.media, self.bridge, self._others, self._way_taken)
        self.ways.offer(offer)
        self._keys = PressedKeys(self._pressed, self.ways.port.read_since)
        in_loop = asyncio.get_running_loop().call_soon_threadsafe
        self.bridge.on_key = lambda key: in_loop(self._keys.read, key)
        self.transferring = False
        self.active = False
        self._digits: DigitSender | None = None
        self._watch: asyncio.Task[None] | None = None
        self._gate: Gate | None = None
        self._unfollow: Callable[[], None] = lambda: None
        self._timers: list[asyncio.TimerHandle] = []

    # -- the end ------------------------------------------------------------------

    def end(self, end: End) -> None:
        """End the call for this cause, unless it has ended already."""
        if not self.ended.done():
            self.log.info("call ends", cause=end.cause, status=end.status)
            self.ended.set_result(end)

    def end_after(self, seconds: float, end: End) -> None:
        """End the call for this cause when so much time has passed."""
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(seconds, self.end, end))

    async def first(self, wanted: asyncio.Future[None], timeout: float | None = None) -> None:
        """Wait for this or for the end of the call, whichever is first."""
        waiting: set[asyncio.Future[Any]] = {wanted, self.ended}
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)

    async def close(self, end: End) -> None:
        """Hang up, show how it ended, leave the room, free the sound."""
        for timer in self._timers:
            timer.cancel()
        self._unfollow()
        if self._gate is not None:
            self._gate.close()
        phone = self.phone
        if phone is not None:
            self.parts.endpoint.release(phone)
            await hang_up(phone)
        if self._digits is not None:
            await self._digits.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if end.shown:
            self.room.show(end.shown)
            await self.room.settled()
        self.parts.media.close(self.bridge)
        await self.ways.close()
        client, at_once = self.parts.presence.client, self.parts.calls.closing
        await self.room.leave(end.reason, client, at_once=at_once)
        if phone is not None and phone.call_id:
            self.parts.endpoint.trace.delete(phone.call_id)

    # -- talking --------------------------------------------------------------------

    def connected(self, phone: Call) -> None:
        """The phone is there: sound flows, keys are taken, silence of the line is watched."""
        self.bridge.connect(phone.audio, time.monotonic())
        if phone.call_id:
            self.bridge.formats = partial(self.parts.endpoint.trace.formats, phone.call_id)
            guard = self.parts.endpoint.guard
            self._gate = guard(phone.call_id, self.bridge.sound_at, self.log, self.ways.port.at)
            self._unfollow = self.parts.endpoint.trace.on_ends(phone.call_id, self._look_at_hold)
            self._look_at_hold()
        self._digits = DigitSender(phone)
        self._watch = asyncio.create_task(self._watch_rtp())

    def hold_room(self, held: bool) -> None:
        """Keep the room's sound from the phone, as during digits after the answer."""
        self._holds_room = held
        on_hold = self._line.is_on_hold
        self.bridge.hold(
            room=held or self._is_held or on_hold,
            phone=self._is_held or (on_hold and self.room.has_agent),
        )

    def now_active(self) -> None:
        """Show the call as active."""
        self.active = True
        self.room.show({"sip.callStatus": Status.ACTIVE})

    def phone_event(self, event: StackEvent) -> None:
        """What baresip reports of an established call."""
        if event.event in (Event.CALL_DTMF_START, Event.CALL_DTMF_END) and event.text:
            self._keys.told(event.text, down=event.event is Event.CALL_DTMF_START)
        elif event.event is Event.CALL_CLOSED:
            self.end(End("the phone hung up", show_hangup=True))

    def _pressed(self, code: int, digit: str) -> None:
        if not self.ended.done():
            self.parts.calls.spawn(self.room.send_digit(code, digit))

    def _look_at_hold(self) -> None:
        """Keep both sides apart while the far end holds the call: to an agent, music is speech."""
        ends = self.parts.endpoint.trace.ends((self.phone and self.phone.call_id) or "")
        if ends is None or ends.is_on_hold == self._line.is_on_hold:
            return
        self._line.turn(ends.is_on_hold, time.monotonic())
        self.log.info("the far end holds the call" if ends.is_on_hold else "the far end is back")
        self.hold_room(self._holds_room)
        self.room.show(line.on_hold(ends.is_on_hold))

    async def _watch_rtp(self) -> None:
        """End the call when the line has been silent too long; polls twice a second."""
        while True:
            await asyncio.sleep(_CHECK_S)
            now = time.monotonic()
            ever, quiet = self.bridge.quiet_for(now)
            why = self._line.why_lost(now, ever=ever, quiet=quiet)
            if why:
                self.log.warning("the far end has gone without a word", why=why)
                self.end(End("the line is lost", show_hangup=True, lost=why))
                return

    # -- the room -----------------------------------------------------------------

    def heard_someone(self) -> None:
        """A track of another participant is subscribed; inbound calls answer on it."""

    def _room_gone(self, reason: DisconnectReason.ValueType) -> None:
        error = TwirpError("canceled", "twirp error unknown: sip request timed out")
        self.end(End("the participant left the room", reason, error=error))

    def _track(self, sid: str, track: rtc.Track, owner: str) -> None:
        self.ways.track(sid, track, owner)
        self.heard_someone()

    def _shown(self, attributes: Mapping[str, str]) -> None:
        if self._is_held and not holding.is_held(attributes):
            self._is_held = False
            self.hold_room(False)

    def _someone_moved(self) -> None:
        self.ways.recheck()
        self.hold_room(self._holds_room)

    async def _others(self, agent: str) -> bool | None:
        return await self.parts.presence.others(self.member.room, {agent, self.member.identity})

    def _way_taken(self, agent: str) -> None:
        self.log.info("sound takes the short way", agent=agent)
        if self._gate is not None and not self.ended.done():
            self._gate.renew()
        self.heard_someone()

    def _digits_for_phone(self, digits: str) -> None:
        if self._digits is not None:
            self._digits.put(digits)
