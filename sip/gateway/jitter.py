"""A caller's packets in order and without holes, for a listener who need not be fed evenly.

Whoever plays sound delays all of it by the worst jitter there may be. The agent at the other end
only takes sound in, so what comes in order goes on at once: a quiet line is not delayed at all.
Only behind a hole is anything held back, until the missing packet is there or has missed its
instant, which follows the jitter seen lately; then the hole is concealed. The clock is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sip.gateway.codecs import Codec
from sip.gateway.concealment import Concealment
from sip.gateway.decoding import Decoder
from sip.gateway.rtp import Packet

_PIECE_S = 0.02  # that is filled in at a time
_WINDOW_S = 5.0  # the jitter of the last one or two of these counts
_FIRST_S = 0.06  # of delay, before anything is known
_LEAST_S, _MOST_S = 0.06, 0.2
_MARGIN_S = 0.03
_JUMP_S = 1.0  # a stream that is so far from the clock counts anew
_LATE_IN_A_ROW = 3  # the way has become longer, and is not only uneven
_MOST_WAITING = 50  # packets behind a hole


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of 16 bit, and the instant (s) at which the first one came, had nothing been late."""

    at: float
    pcm: bytes


@dataclass(frozen=True, slots=True)
class _Held:
    """A packet that waits: decoded in its turn, as a codec's state goes from each to the next."""

    sequence: int
    count: int  # samples
    decode: Callable[[], bytes]
    skip: int = 0  # samples before those

    def without(self, count: int) -> _Held:
        """What is left when so many samples at its beginning are known already."""
        return replace(self, count=self.count - count, skip=self.skip + count)

    def samples(self) -> bytes:
        """Its samples; ask once."""
        return self.decode()[2 * self.skip :]


class _Extreme:
    """The smallest or largest value of the last one or two windows."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._recent: float | None = None
        self._before: float | None = None
        self._since = 0.0

    def update(self, value: float, now: float) -> float:
        """The extreme of `value` and those before."""
        if self._recent is None or now - self._since >= _WINDOW_S:
            self._before, self._recent, self._since = self._recent, value, now
        self._recent = self._sign * max(self._sign * self._recent, self._sign * value)
        if self._before is None:
            return self._recent
        return self._sign * max(self._sign * self._recent, self._sign * self._before)


class JitterBuffer:
    """One stream of RTP. Positions are samples since it began.

    Args:
        now: the instant (s) from which sound, or silence in its place, is given.
        rate: of the samples that are given (Hz).
    """

    def __init__(self, now: float, rate: int) -> None:
        self._rate = rate
        self._decoder = Decoder(rate)
        self._piece = round(_PIECE_S * rate)  # samples
        self._start = now  # the instant of position 0 on the fastest way seen lately
        self._fastest = _Extreme(-1)
        self._slowest = _Extreme(+1)
        self._delay = _FIRST_S  # how long a missing packet is waited for
        self._next = 0  # position that is given next
        self._source: int | None = None
        self._last_timestamp = 0
        self._last_position = 0  # of that timestamp
        self._last_sequence = 0
        self._given_sequence: int | None = None
        self._waiting: dict[int, _Held] = {}  # by position
        self._events: set[int] = set()  # sequence numbers that carry no sound
        self._late_in_a_row = 0
        self._concealment = Concealment(rate)
        self.concealed = 0  # samples
        self.late = 0  # packets that came after their place was filled

    def put(self, packet: Packet, codec: Codec | None, now: float) -> None:
        """Take a packet that came at this instant; None: it carries no sound."""
        if self._source != packet.source:
            self._begin(packet, now)
        sequence = self._last_sequence + _signed(packet.sequence - self._last_sequence, 16)
        if codec is None:
            self._note_event(sequence)
            return
        count = self._decoder.length(codec, packet.payload)
        if not count:
            return
        ticks = _signed(packet.timestamp - self._last_timestamp, 32)
        position = self._last_position + ticks * self._rate // codec.clock
        if abs(now - self._start - position / self._rate) > _JUMP_S:
            self._begin(packet, now)
            position, sequence = self._last_position, packet.sequence
        self._last_timestamp, self._last_position = packet.timestamp, position
        self._last_sequence = sequence
        self._measure(now, position)
        decode = partial(self._decoder.decode, codec, packet.payload)
        self._store(position, _Held(sequence, count, decode))

    def put_samples(self, pcm: bytes, now: float) -> None:
        """Take samples that come in order, but without their packets' stamps."""
        position = max((at + held.count for at, held in self._waiting.items()), default=0)
        position = max(position, self._next)
        self._source = self._given_sequence = None
        count = len(pcm) // 2
        self._start = now - (position + count) / self._rate
        self._waiting[position] = _Held(0, count, lambda: pcm)

    def read(self, now: float) -> Iterator[Piece]:
        """What can go on now, in order."""
        while True:
            ready = self._waiting.pop(self._next, None)
            if ready is not None:
                self._given_sequence = None if self._source is None else ready.sequence
                yield self._given(self._concealment.heard(ready.samples()))
                continue
            overdue = now - self._instant(self._next) > self._delay
            following = min(self._waiting, default=None)
            if following is not None and following < self._next:
                self._store(following, self._waiting.pop(following))  # packets that overlap
            elif following is not None and (overdue or not self._is_lost(following)):
                yield from self._filled(following - self._next)
            elif overdue:
                yield self._given(self._concealed(self._piece))
            else:
                return

    def _begin(self, packet: Packet, now: float) -> None:
        """Another stream, or the same with another clock: it goes on where we are."""
        self._source = packet.source
        behind = self._instant(self._next)
        self._last_timestamp, self._last_sequence = packet.timestamp, packet.sequence
        self._last_position = max(self._next, self._next + round((now - behind) * self._rate))
        self._start = now - self._last_position / self._rate
        self._fastest, self._slowest = _Extreme(-1), _Extreme(+1)
        self._given_sequence = None
        self._waiting.clear()
        self._events.clear()
        self._decoder = Decoder(self._rate)

    def _measure(self, now: float, position: int) -> None:
        self._start = self._fastest.update(now - position / self._rate, now)
        late = self._slowest.update(now - self._instant(position), now)
        self._delay = min(_MOST_S, max(_LEAST_S, late + _MARGIN_S))

    def _store(self, position: int, held: _Held) -> None:
        if position + held.count <= self._next:
            if position in self._waiting or held.sequence == self._given_sequence:
                return  # the same once more
            self.late += 1
            self._late_in_a_row += 1
            if self._late_in_a_row < _LATE_IN_A_ROW:
                return
            self._last_position += self._next - position  # what comes after this is in time again
            self._fastest, self._slowest = _Extreme(-1), _Extreme(+1)
            position = self._next
        elif position < self._next:
            held, position = held.without(self._next - position), self._next
        self._late_in_a_row = 0
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[position] = held

    def _is_lost(self, position: int) -> bool:
        """Whether packets are missing before this one, which is not so after a pause."""
        if self._given_sequence is None:
            return False
        missing = range(self._given_sequence + 1, self._waiting[position].sequence)
        return any(number not in self._events for number in missing)

    def _note_event(self, sequence: int) -> None:
        if len(self._events) >= 4 * _MOST_WAITING:
            self._events.clear()
        self._events.add(sequence)

    def _filled(self, hole: int) -> Iterator[Piece]:
        while hole > 0:
            count = min(hole, self._piece)
            yield self._given(self._concealed(count))
            hole -= count

    def _concealed(self, count: int) -> bytes:
        self.concealed += count
        return self._concealment.fill(count)

    def _given(self, pcm: bytes) -> Piece:
        piece = Piece(self._instant(self._next), pcm)
        self._next += len(pcm) // 2
        return piece

    def _instant(self, position: int) -> float:
        return self._start + position / self._rate


def _signed(difference: int, bits: int) -> int:
    """The difference of two counters that begin again at 2**bits, the shorter way round."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half
