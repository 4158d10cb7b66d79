"""The gateway's end of a call's short way to its agent (docs/explanation/media-path.md).

Its methods are safe from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from process.logs import get_logger
from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import Bye, Clear, Message, Room, Sound
from process.short_way.offers import Offer
from sip.gateway.jitter import Piece
from sip.gateway.said import Said

log = get_logger("sip.gateway.short_way")
_AT_ONCE = 64  # messages at a look


class ShortWay:
    """Offered, then carrying sound once it is taken, then over.

    Args:
        taken: told the identity of the participant who took it.
        lost: told that it carries nothing any more and the room has to.
        rate: of the sound (Hz).
    """

    def __init__(
        self,
        offer: Offer,
        taken: Callable[[str], object],
        lost: Callable[[], object],
        rate: int,
    ) -> None:
        self.token = offer.token
        self._offer: Offer | None = offer
        self._carrier: Carrier | None = None
        self._taken = taken
        self._lost = lost
        self._lock = threading.Lock()
        self._rate = rate
        self._said = Said(rate)
        self.room_rests = False  # while it is carried here, nobody needs it in the room
        self.refused_pieces = 0  # the agent has too many unread

    @property
    def carries(self) -> bool:
        """Whether sound passes here."""
        return self._carrier is not None

    @property
    def replaces_room(self) -> bool:
        """Whether the room needs none of the phone's sound meanwhile."""
        return self.room_rests and self.carries

    def serve(self, now: float) -> None:
        """Let it be taken, or take in what the agent has said."""
        with self._lock:
            if self._offer is not None:
                self._check(self._offer, now)
            elif self._carrier is not None:
                try:
                    self._receive(self._carrier, _us(now))
                except Broken as problem:
                    self._end(problem)

    def send(self, pieces: Iterable[Piece]) -> None:
        """Hand the phone's sound to the agent."""
        with self._lock:
            for piece in pieces:
                self.refused_pieces += not self._send(Sound(_us(piece.at), piece.pcm))

    def room_carries(self, carries: bool) -> None:
        """Tell the agent whether it is to use the room, because others need the sound."""
        with self._lock:
            if not self._send(Room(carries)):
                self._end(Broken("the agent reads nothing"))

    def read(self, now: float) -> bytes | None:
        """The next 10 ms for the phone, if they are due."""
        with self._lock:
            return self._said.read(_us(now))

    def skip(self, now: float) -> None:
        """Let pass what is due: the phone hears something else."""
        with self._lock:
            while self._said.read(_us(now)) is not None:
                pass

    @property
    def waiting(self) -> bool:
        """Whether anything is to be heard, now or soon."""
        return len(self._said) > 0

    def close(self) -> None:
        """The call is over."""
        with self._lock:
            if self._offer is not None:
                self._offer.close()
            if self._carrier is not None:
                self._carrier.close(bye=True)
            self._offer = self._carrier = None

    def _send(self, message: Message) -> bool:
        if self._carrier is None:
            return True
        try:
            return self._carrier.send(message)
        except Broken as problem:
            self._end(problem)
            return True

    def _check(self, offer: Offer, now: float) -> None:
        taken = offer.accepted(now, self._rate)
        if taken is not None:
            self._offer, self._carrier = None, taken.carrier
            self._taken(taken.identity)

    def _receive(self, carrier: Carrier, now: int) -> None:
        for _ in range(_AT_ONCE):
            message = carrier.receive()
            if isinstance(message, Sound):
                self._said.put(message.at, message.pcm)
            elif isinstance(message, Clear):
                self._said.clear(now)
            elif isinstance(message, Bye):
                self._end(None)
                return
            elif message is not None:
                raise Broken(f"a taker does not say {type(message).__name__}")
            else:
                return

    def _end(self, problem: Broken | None) -> None:
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
            if problem is not None:
                log.warning("the short way broke: the call goes on in its room", why=problem)
            self._lost()


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
