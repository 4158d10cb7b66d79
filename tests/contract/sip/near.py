"""An agent on the gateway's own machine, which takes the short way: it keeps what it hears."""

from __future__ import annotations

import array
import asyncio
import math
import time
from collections.abc import Callable

from livekit import rtc

from process.short_way.carrier import Broken, Carrier
from process.short_way.messages import Bye, Clear, Hello, Room, Sound
from process.short_way.offers import ATTRIBUTE, Folder
from tests.contract.sip.conftest import Target
from tests.contract.sip.watcher import LIMIT, Watcher

FRAME_S = 0.02


def tone(count: int, rate: int, hertz: float, start: int = 0, level: int = 9_000) -> bytes:
    """So many samples of a tone, from its sample `start` on."""
    step = 2 * math.pi * hertz / rate
    return array.array(
        "h", (int(level * math.sin(step * (start + i))) for i in range(count))
    ).tobytes()


class NearAgent(Watcher):
    """Joins, publishes a silent track as agents do, takes the short way when it is offered."""

    def __init__(self, target: Target, room: str) -> None:
        assert target.data is not None
        super().__init__(target.livekit_url, target.key, target.secret, room, "agent")
        self.folder = Folder(target.data)
        self.carrier: Carrier | None = None
        self.rate = 0
        self.sounds: list[tuple[float, Sound]] = []
        self.over = ""
        self.by_room = False
        self._speaking: asyncio.Task[None] | None = None

    def token_of(self, identity: str) -> str:
        """The token that a participant shows."""
        return self.room.remote_participants[identity].attributes.get(ATTRIBUTE, "")

    async def take(self, identity: str) -> None:
        """Take a participant's way once it is offered."""
        await self.until(lambda: ATTRIBUTE in self.attributes(identity))
        self.carrier = self.folder.accept(self.attributes(identity)[ATTRIBUTE], self.identity)
        assert self.carrier is not None
        asyncio.get_running_loop().add_reader(self.carrier.fileno(), self._read)
        await self.until(lambda: self.rate > 0)

    def say(self, seconds: float, hertz: float = 440.0) -> None:
        """Say a tone, all of it at once."""
        assert self.carrier is not None
        at = time.monotonic_ns() // 1000
        size = round(self.rate * FRAME_S)
        for n in range(round(seconds / FRAME_S)):
            self.carrier.send(Sound(at + n * 20_000, tone(size, self.rate, hertz, n * size)))

    def go_on_saying(self, hertz: float = 440.0) -> None:
        """Say a tone from now on, 0.3 s ahead; into the track while the room carries it."""
        self._speaking = asyncio.create_task(self._speak(hertz))
        self._tasks.append(self._speaking)

    def clear(self) -> None:
        assert self.carrier is not None
        if self._speaking is not None:
            self._speaking.cancel()
        self.carrier.send(Clear())

    async def tone_into_track(self, hertz: float) -> None:
        """Put a tone into the published track as well."""
        assert self._source is not None
        self._tasks.append(asyncio.create_task(self._play(self._source, hertz)))

    def break_off(self, *, bye: bool = False, garbage: bool = False) -> None:
        """Close the socket, with a word, without, or with one that is none."""
        assert self.carrier is not None
        if self._speaking is not None:
            self._speaking.cancel()
        asyncio.get_running_loop().remove_reader(self.carrier.fileno())
        if garbage:
            self.carrier._socket.send(b"\7")
        else:
            self.carrier.close(bye=bye)

    async def heard(self, test: Callable[[bytes], bool], limit: float = LIMIT) -> bytes:
        """All that was heard by the short way, once `test` holds of it."""
        await self.until(lambda: test(self.pcm), limit)
        return self.pcm

    @property
    def pcm(self) -> bytes:
        """All that was heard by the short way."""
        return b"".join(sound.pcm for _, sound in self.sounds)

    async def leave(self) -> None:
        if self.carrier is not None and self.carrier.fileno() >= 0:
            self.break_off(bye=True)
        await super().leave()

    async def _speak(self, hertz: float) -> None:
        assert self.carrier is not None
        assert self._source is not None
        size, n = round(self.rate * FRAME_S), 0
        start = time.monotonic()
        while True:
            while n * FRAME_S < time.monotonic() - start + 0.3:
                at = round((start + n * FRAME_S) * 1e6)
                pcm = tone(size, self.rate, hertz, n * size)
                n += 1
                if self.by_room:
                    await self._source.capture_frame(rtc.AudioFrame(pcm, self.rate, 1, size))
                else:
                    self.carrier.send(Sound(at, pcm))
            await asyncio.sleep(0.05)

    def _read(self) -> None:
        assert self.carrier is not None
        try:
            while (message := self.carrier.receive()) is not None:
                if isinstance(message, Hello):
                    self.rate = message.rate
                elif isinstance(message, Sound):
                    self.sounds.append((time.monotonic(), message))
                elif isinstance(message, Room):
                    self.by_room = message.carries
                elif isinstance(message, Bye):
                    self._end("bye")
                    break
        except Broken as problem:
            self._end(str(problem))
        self._changed.set()

    def _end(self, why: str) -> None:
        assert self.carrier is not None
        self.over = why
        asyncio.get_running_loop().remove_reader(self.carrier.fileno())
        self.carrier.close()
