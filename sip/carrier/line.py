"""One established call of a phone that talks: say, hear, keys, and the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import numpy as np
from baresip import BaresipError, Call, StaleHandleError
from baresip.events import Event, StackEvent

from process.logs import get_logger
from sip.carrier.listening import Listener, Pcm, Utterance
from sip.carrier.senses import RATE, Senses
from sip.carrier.witness import Witness

log = get_logger(__name__)

T = TypeVar("T")

_TICK_S = 0.02
_AHEAD_BYTES = int(0.3 * RATE) * 2
"""Sound kept in the stack's buffer: a tick may be that late, on a busy machine, unheard."""


class HungUp(Exception):
    """The far end ended the call."""


class Heard(msgspec.Struct, frozen=True):
    """What the far end said, and when, in seconds from the call's first sample."""

    text: str
    start: float
    end: float


class Line:
    """A conversation's view of a call; every method raises HungUp once the call is over."""

    rate = RATE

    def __init__(self, call: Call, senses: Senses, witness: Witness, facts: dict[str, Any]) -> None:
        self._call = call
        self._senses = senses
        self._witness = witness
        self._facts = facts
        self._listener = Listener()
        self._utterances: asyncio.Queue[Utterance] = asyncio.Queue()
        self._out = bytearray()
        self._drained = asyncio.Event()
        self._drained.set()
        self._position = 0
        self._echo = False
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        self.over = asyncio.Event()
        self.reason = ""
        call.on(self._on_event)
        call.on_dtmf(lambda digit: self._pressed(digit.digit))

    def note(self, event: str, **facts: Any) -> None:
        """Write to the witness, with the call's number and Call-ID."""
        # The Call-ID of a call that we place is known only once the stack has sent it.
        self._witness.note(event, call_id=self._call.call_id, **self._facts, **facts)

    @property
    def busy(self) -> bool:
        """Whether the far end is speaking, or has spoken and was not listened to yet."""
        return self._listener.speaking or not self._utterances.empty()

    async def sound_of(self, text: str) -> Pcm:
        """Return `text` in this phone's voice, 8 kHz, unsent."""
        return await self._senses.speak(text)

    async def say(self, text: str) -> None:
        """Say `text` and return when the last of it is on the wire."""
        await self.play(await self._senses.speak(text), text)

    async def play(self, pcm: Pcm, text: str = "") -> None:
        """Send sound (8 kHz) and return when the last of it is on the wire."""
        self._check()
        start = self._position / RATE
        self._out += pcm.tobytes()
        self._drained.clear()
        await self._or_over(self._drained.wait())
        self.note("said", pii_text=text, start=round(start, 3), end=round(self._position / RATE, 3))

    async def hear(self, begin_within_s: float, *, end_within_s: float = 40.0) -> Heard | None:
        """Return the next thing the far end says, or null when it does not begin in time."""
        self._check()
        try:
            async with asyncio.timeout(begin_within_s):
                utterance = await self._or_over(self._utterances.get())
        except TimeoutError:
            if not self._listener.speaking:
                return None
            try:
                async with asyncio.timeout(end_within_s):
                    utterance = await self._or_over(self._utterances.get())
            except TimeoutError:
                return None
        text = await self._senses.understand(utterance.pcm)
        self.note("heard", pii_text=text, start=utterance.start, end=utterance.end)
        return Heard(text, utterance.start, utterance.end)

    async def last_words(self) -> None:
        """Write down what nobody listened to: what the end of the call cut off, and before."""
        left = [self._utterances.get_nowait() for _ in range(self._utterances.qsize())]
        if (cut := self._listener.flush()) is not None:
            left.append(cut)
        for utterance in left:
            text = await self._senses.understand(utterance.pcm)
            self.note("heard", pii_text=text, start=utterance.start, end=utterance.end)

    async def pause(self, seconds: float) -> None:
        """Let time pass on the line; raises HungUp as soon as the far end has gone."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return
        self._check()

    async def key(self, within_s: float) -> str | None:
        """Return the next key the far end presses, or null."""
        self._check()
        try:
            async with asyncio.timeout(within_s):
                return await self._or_over(self.keys.get())
        except TimeoutError:
            return None

    async def press(self, keys: str) -> None:
        """Send keys as RFC 4733 events."""
        self._check()
        await self._call.send_dtmf(keys)
        self.note("pressed", pii_keys=keys)

    async def hang_up(self) -> None:
        """End the call, if the far end has not."""
        if self.over.is_set():
            return
        try:
            await self._call.hangup()
        except StaleHandleError:
            log.debug("the far end hung up first")

    def echo(self) -> None:
        """From now on, send back what is heard."""
        self._echo = True

    async def run(self) -> None:
        """Move sound both ways until the call is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.over.is_set():
            try:
                self._tick()
            except BaresipError as exc:
                # No media yet, or renegotiated: a later tick finds the new streams.
                log.debug("no sound on this line", error=str(exc))
            due = max(due + _TICK_S, loop.time() - 0.1)
            try:
                async with asyncio.timeout(max(0.001, due - loop.time())):
                    await self.over.wait()
            except TimeoutError:
                continue

    def _tick(self) -> None:
        received = self._call.audio.read(RATE // 5 * 2)
        if received:
            self._position += len(received) // 2
            pcm = np.frombuffer(received, np.int16)
            for utterance in self._listener.feed(pcm):
                self._utterances.put_nowait(utterance)
            if self._echo:
                self._out += received
        buffered = self._call.audio.info().tx_buffered
        room = _AHEAD_BYTES - buffered
        if self._out and room > 0:
            taken = self._call.audio.write(bytes(self._out[:room]))
            del self._out[:taken]
        elif not self._out and buffered == 0:
            self._drained.set()

    async def _or_over(self, wanted: Coroutine[Any, Any, T]) -> T:
        """Await `wanted`, or raise HungUp when the call ends first."""
        task = asyncio.ensure_future(wanted)
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise HungUp(self.reason)
        finally:
            task.cancel()
            over.cancel()

    def _check(self) -> None:
        if self.over.is_set():
            raise HungUp(self.reason)

    def _pressed(self, digit: str) -> None:
        self.note("key", pii_key=digit)
        self.keys.put_nowait(digit)

    def _on_event(self, event: StackEvent) -> None:
        if event.event is Event.CALL_ESTABLISHED:
            self.note("established")
        elif event.event is Event.CALL_CLOSED:
            self.reason = event.text or ""
            self.note("closed", reason=self.reason)
            self.over.set()
