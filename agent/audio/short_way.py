"""The agent's end of a call's short way (docs/explanation/media-path.md).

A SIP gateway on the same machine offers it by an attribute of its participant. Where that is not
there, or not to be had, nothing happens and the room carries the sound.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from livekit import rtc

from control_plane.domain.events import SoundWay
from process.logs import get_logger
from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import Bye, Clear, Hello, Message, Room, Sound
from process.short_way.offers import ATTRIBUTE, Folder

log = get_logger(__name__)

GREETING_LIMIT_S = 1.0
_AT_ONCE = 100  # messages at a wake-up: the other calls of the worker want to live, too


class Way(Protocol):
    """What sound can be handed to; false when it is not taken any more."""

    rate: int

    def say(self, samples: bytes, at: float) -> None:
        """Have mono int16 samples at `rate` played from `at` (s since the epoch) on."""

    def clear(self) -> None:
        """Have nothing played of what was said."""


class Carried(Protocol):
    """Who can use either way: what is heard, and what is said."""

    def set_short_way(self, way: Way) -> None:
        """Use the short way from now on."""

    def use_room(self) -> None:
        """Use the room, until `use_short_way`."""

    def use_short_way(self) -> None:
        """Use the short way again."""


class Hears(Carried, Protocol):
    """What is heard."""

    def heard_shortly(self, samples: bytes, at: float) -> None:
        """Take the caller's samples, of which the first was said at `at` (s since the epoch)."""


class Told(Protocol):
    """Who is told which way the sound takes."""

    def __call__(self, way: SoundWay, why: str) -> None: ...


class ShortWay:
    """Takes the offer of one call, when there is one, and passes on what comes.

    Args:
        folder: where offers of this machine are; null: none is taken.
        person: the identity of the participant whose offer it is.
    """

    rate = 0

    def __init__(
        self, folder: Folder | None, person: str, hears: Hears, says: Carried, told: Told
    ) -> None:
        self._folder = folder
        self._person = person
        self._hears, self._says = hears, says
        self._told = told
        self._carrier: Carrier | None = None
        self._refused: set[str] = set()  # tokens
        self._is_answered = False
        self._giving_up: asyncio.TimerHandle | None = None

    def follow(self, room: rtc.Room) -> None:
        """Take the offer, now or once the person's side shows it."""
        if self._folder is None:
            return
        room.on("participant_connected", lambda _: self._check(room))
        room.on("participant_attributes_changed", lambda *_: self._check(room))
        self._check(room)

    def answered(self) -> None:
        """Say that the call went through the room from its start, if it did."""
        self._is_answered = True
        if self._carrier is None and not self.rate:
            self._told(SoundWay.ROOM, "")

    def say(self, samples: bytes, at: float) -> None:
        """Have mono int16 samples at `rate` played from `at` (s since the epoch) on."""
        self._send(Sound(round((at + _monotonic_from_epoch()) * 1e6), samples))

    def clear(self) -> None:
        """Have nothing played of what was said."""
        self._send(Clear())

    def close(self) -> None:
        """The call is over."""
        self._shut(bye=True)

    def _check(self, room: rtc.Room) -> None:
        person = room.remote_participants.get(self._person)
        if person is None or self._folder is None or self._carrier is not None:
            return
        token = person.attributes.get(ATTRIBUTE, "")
        is_sip = person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        if not token or not is_sip or token in self._refused:
            return
        self._refused.add(token)  # it can be had once
        self._carrier = self._folder.accept(token, room.local_participant.identity)
        if self._carrier is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._carrier.fileno(), self._read)
            self._giving_up = loop.call_later(GREETING_LIMIT_S, self._break, "no greeting came")

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self._carrier.receive() if self._carrier is not None else None
            except Broken as problem:
                self._break(str(problem))
                return
            if message is None:
                return
            self._receive(message)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Sound):
            at = message.at / 1e6 - _monotonic_from_epoch()
            self._hears.heard_shortly(message.pcm, at)
        elif isinstance(message, Room):
            self._turn(message.carries)
        elif isinstance(message, Hello) and message.rate and not self.rate:
            self._begin(message.rate)
        elif isinstance(message, Bye):
            self._shut()  # the phone has hung up; whoever stays in the room can be spoken to
            self._says.use_room()
        else:
            self._break(f"a gateway does not say {type(message).__name__}")

    def _begin(self, rate: int) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        self.rate = rate
        for side in (self._hears, self._says):
            side.set_short_way(self)
        self._told(SoundWay.SHORT, "")

    def _turn(self, to_room: bool) -> None:
        for side in (self._hears, self._says):
            (side.use_room if to_room else side.use_short_way)()
        if to_room:
            self._told(SoundWay.ROOM, "others are in the room")
        else:
            self._told(SoundWay.SHORT, "others have left the room")

    def _break(self, why: str) -> None:
        """Go on through the room; where that is gone as well, it says so itself."""
        self._shut()
        if self.rate:
            log.warning("the short way broke: the call goes on in its room", why=why)
            for side in (self._hears, self._says):
                side.use_room()
            self._told(SoundWay.ROOM, "the short way broke")
        elif self._is_answered:
            self._told(SoundWay.ROOM, "")

    def _send(self, message: Message) -> None:
        if self._carrier is None:
            return
        try:
            taken = self._carrier.send(message)
        except Broken as problem:
            self._break(str(problem))
            return
        if not taken and isinstance(message, Clear):
            self._break("the gateway reads nothing")

    def _shut(self, *, bye: bool = False) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._carrier is not None:
            asyncio.get_running_loop().remove_reader(self._carrier.fileno())
            self._carrier.close(bye=bye)
            self._carrier = None


def _monotonic_from_epoch() -> float:
    """Seconds to add to a time since the epoch for the clock that both processes share."""
    return time.monotonic() - time.time()
