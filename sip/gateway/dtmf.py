"""DTMF: keys of the phone as LiveKit codes, and digits to the phone at LiveKit's pace."""

from __future__ import annotations

import asyncio
import time

from baresip.call import Call
from baresip.errors import BaresipError

from process.logs import get_logger

log = get_logger("sip.gateway.dtmf")

_KEYS = "0123456789*#abcd"
_PAUSE = "w"
_STEP_S = 0.5  # start to start, and the length of one `w`
MAX_WAITING = 128


def code_and_digit(key: str) -> tuple[int, str] | None:
    """LiveKit's code and text for a key as baresip names it (RFC 4733 event 0-15); else None."""
    digit = key.lower()
    return (_KEYS.index(digit), digit) if len(digit) == 1 and digit in _KEYS else None


def playable(digits: str) -> str:
    """What of a text can be sent: 0-9 a-d * # and `w`; the rest is left out, as LiveKit does."""
    return "".join(d for d in digits if d in _KEYS or d == _PAUSE)


async def play(call: Call, digits: str) -> None:
    """Send digits to the phone, 0.5 s from start to start; raises BaresipError when it is gone."""
    for digit in playable(digits):
        due = time.monotonic() + _STEP_S
        if digit != _PAUSE:
            await call.send_dtmf(digit)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


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
