"""DTMF: keys of the phone as LiveKit codes, and digits to the phone at LiveKit's pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from baresip.call import Call
from baresip.errors import BaresipError

from process.logs import get_logger

log = get_logger("sip.gateway.dtmf")

KEYS = "0123456789*#abcd"
"""By their codes (RFC 4733, events 0 to 15)."""
_PAUSE = "w"
_STEP_S = 0.5  # start to start, and the length of one `w`
MAX_WAITING = 128
_TOLD_WITHIN_S = 0.5  # baresip tells later, on a busy machine, of what it had before we read


def code_and_digit(key: str) -> tuple[int, str] | None:
    """LiveKit's code and text for a key as baresip names it (RFC 4733 event 0-15); else None."""
    digit = key.lower()
    return (KEYS.index(digit), digit) if len(digit) == 1 and digit in KEYS else None


def playable(digits: str) -> str:
    """What of a text can be sent: 0-9 a-d * # and `w`; the rest is left out, as LiveKit does."""
    return "".join(d for d in digits if d in KEYS or d == _PAUSE)


async def play(call: Call, digits: str) -> None:
    """Send digits to the phone, 0.5 s from start to start; raises BaresipError when it is gone."""
    for digit in playable(digits):
        due = time.monotonic() + _STEP_S
        if digit != _PAUSE:
            await call.send_dtmf(digit)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


class PressedKeys:
    """Each key of a phone once: read from its packets where they can be had, else told by baresip.

    baresip tells keys apart by their number alone: it misses the second of two equal ones when the
    end of the first is lost, misses one of which only the end arrives, and takes a late packet for
    another key.

    When reading begins, what came before is told and what comes after read; for half a second
    either may be the first to tell of a key, and each that both tell of is one.

    Args:
        press: told each key's code and text.
        reads_since: the instant (s, of `clock`) since which packets are read; None: they are not.
    """

    def __init__(
        self,
        press: Callable[[int, str], object],
        reads_since: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._press = press
        self._reads_since = reads_since
        self._clock = clock
        self._down: str | None = None  # told, and neither let go nor read
        self._read: list[str] = []  # and not told; of the first half second

    def told(self, name: str, *, down: bool) -> None:
        """baresip says that a key was pressed, or let go."""
        key = code_and_digit(name)
        if key is None or self._has_read_alone():
            return
        digit = key[1]
        if not down:
            self._down = None
        elif digit in self._read:
            self._read.remove(digit)
        else:
            self._down = digit
            self._press(*key)

    def read(self, digit: str) -> None:
        """A packet was the first to tell of a key."""
        down, self._down = self._down, None
        if digit == down:  # it was told when it began
            return
        self._press(KEYS.index(digit), digit)
        if not self._has_read_alone():
            self._read.append(digit)

    def _has_read_alone(self) -> bool:
        since = self._reads_since()
        return since is not None and self._clock() - since > _TOLD_WITHIN_S


class DigitSender:
    """Sends digits to one phone, in order, one after the other."""

    def __init__(self, call: Call):
        self._call = call
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._task = asyncio.create_task(self._run())

    def put(self, digits: str) -> None:
        """Queue digits; what does not fit is dropped."""
        for digit in playable(digits):
            if self._waiting.full():
                return
            self._waiting.put_nowait(digit)

    async def stop(self) -> None:
        """End the sending."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await play(self._call, await self._waiting.get())
            except BaresipError as error:
                # The call has ended, or the phone takes no telephone-events just now.
                log.warning("a key could not be sent to the phone", error=error)
