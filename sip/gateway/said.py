"""What an agent has said and the phone has not heard yet.

It lies here and not with the agent, so that an agent's process that is late for up to the length of
this queue is not heard to be, and so that an interruption is one message. Every piece has its
instant: what is early waits, and a delay that crept in goes where nobody hears it go.
"""

from __future__ import annotations

import array
from collections import deque

_PIECE_US = 10_000
_AHEAD_US = 40_000  # what may lie in baresip's buffer, which nothing can take back
_BEHIND_US = 40_000  # a delay that is not worth a cut
_MOST = 100  # pieces: a second; an agent keeps a third of one ahead
_FAINT = 0x180  # of 32,768; a piece below it is dropped unheard


class Said:
    """Pieces of 10 ms in their order, 16 bit. Instants are in µs; who calls sees to threads."""

    def __init__(self, rate: int) -> None:
        self._size = rate // 50  # bytes of a piece
        self._fade = rate // 200  # samples: 5 ms
        self._pieces: deque[tuple[int, bytes]] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def put(self, at: int, pcm: bytes) -> None:
        """Take sound that begins at this instant; the oldest goes when there is too much."""
        for start in range(0, len(pcm), self._size):
            piece = pcm[start : start + self._size]
            self._pieces.append((at, piece.ljust(self._size, b"\0")))
            at += _PIECE_US
        while len(self._pieces) > _MOST:
            self._pieces.popleft()
            self.dropped += 1

    def read(self, now: int) -> bytes | None:
        """The next piece, if it is due."""
        while self._pieces and self._pieces[0][0] <= now + _AHEAD_US:
            at, piece = self._pieces.popleft()
            if now - at <= _BEHIND_US or not is_faint(piece):
                return piece
            self.dropped += 1
        return None

    def clear(self, now: int) -> None:
        """Keep nothing but a short end of what is being heard, so that it does not click."""
        first = self._pieces[0] if self._pieces else None
        self._pieces.clear()
        if first is None or first[0] > now + _AHEAD_US:
            return
        fade = self._fade
        samples = array.array("h", first[1][: 2 * fade])
        faded = array.array("h", (s * (fade - n) // fade for n, s in enumerate(samples)))
        self._pieces.append((first[0], faded.tobytes().ljust(self._size, b"\0")))


def is_faint(pcm: bytes) -> bool:
    """Whether nobody notices when this piece is missing."""
    samples = array.array("h", pcm)
    return max(samples) < _FAINT and min(samples) > -_FAINT
