"""What the agent hears of the telephone line, through the room or by the short way.

It takes the place of LiveKit's room input so that the recording knows exactly what was heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from livekit import rtc
from livekit.agents.voice import io
from livekit.rtc._ffi_client import FfiHandle

from agent.audio.events import EVENTS
from agent.audio.short_way import Way
from process.resampling import Resampler

HEARD_RATE = 16_000
"""Hz of the caller's audio: what voice activity detection and the recogniser work at."""
FRAME_MS = 20
_FRAME = HEARD_RATE * FRAME_MS // 1000 * 2
SOONER_S = 0.12
"""Both ways together, of what the room's buffers hold; what is measured is more, and is won."""
HANDOVER_S = 0.1
"""By so much the room is later: what came by the short way meanwhile follows what it said last."""


class Heard(Protocol):
    """Who is given each frame's samples as it arrives."""

    def __call__(self, samples: bytes, until: float | None = None) -> None:
        """Take samples of which the last was said at `until` (s since the epoch); null: now."""


class AudioInput(io.AudioInput):
    """The caller's audio, mono int16 at `HEARD_RATE` in frames of `FRAME_MS`."""

    def __init__(self, on_heard: Heard) -> None:
        super().__init__(label="line")
        self._on_heard = on_heard
        # A session that stops listening must not make a call grow: 5 s, then the oldest goes.
        self._frames: deque[rtc.AudioFrame] = deque(maxlen=5_000 // FRAME_MS)
        self._arrived = asyncio.Event()
        self._track: rtc.Track | None = None
        self._stream: FfiHandle | None = None
        self._by_room = True
        self._resampler = Resampler(HEARD_RATE, HEARD_RATE)
        self._way: Way | None = None
        self._rest = b""
        self._early: deque[tuple[bytes, float]] | None = None  # until the room has been heard out
        self._handover: asyncio.TimerHandle | None = None

    def connect(self, track: rtc.Track) -> None:
        """Listen to `track` from now on, and to no other."""
        self._track = track
        if self._by_room:
            self._open()

    def set_short_way(self, way: Way) -> None:
        """Listen to the gateway from now on."""
        self._way = way
        self._resampler = Resampler(way.rate, HEARD_RATE)
        self._by_room = False
        self._close_stream()

    def sooner_by(self) -> float:
        """Return by how much sooner sound comes and an answer goes than through the room (s)."""
        return 0.0 if self._by_room else SOONER_S

    def use_room(self) -> None:
        """Listen to the track instead: from now on the caller's sound comes there."""
        self._end_handover()
        if not self._by_room:
            self._by_room = True
            self._open()

    def use_short_way(self) -> None:
        """Listen to the gateway again, once what it tells now has been heard through the room."""
        if self._by_room and self._way is not None and self._early is None:
            self._early = deque(maxlen=100)
            loop = asyncio.get_running_loop()
            self._handover = loop.call_later(HANDOVER_S, self._use_short_way)

    def heard_shortly(self, samples: bytes, at: float) -> None:
        """Take samples of the gateway, of which the first was said at `at` (s since the epoch)."""
        if self._early is not None:
            self._early.append((samples, at))
            return
        if self._by_room or self._way is None:
            return
        until = at + len(samples) / 2 / self._way.rate
        whole = self._rest + self._resampler.of(samples)
        cut = len(whole) - len(whole) % _FRAME
        until -= (len(whole) - cut) / 2 / HEARD_RATE
        self._rest = whole[cut:]
        for start in range(0, cut, _FRAME):
            after_s = (cut - start - _FRAME) / 2 / HEARD_RATE
            self._receive(whole[start : start + _FRAME], until - after_s)

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._frames:
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def close(self) -> None:
        """Stop listening."""
        self._end_handover()
        self._close_stream()

    def _open(self) -> None:
        self._close_stream()
        if self._track is not None:
            self._stream = EVENTS.listen(
                self._track, rate=HEARD_RATE, frame_ms=FRAME_MS, heard=self._receive
            )

    def _close_stream(self) -> None:
        if self._stream is not None:
            EVENTS.end(self._stream)
            self._stream = None

    def _use_short_way(self) -> None:
        early, self._early = self._early or (), None
        self._by_room = False
        self._close_stream()
        self._resampler.reset()
        self._rest = b""
        for samples, at in early:
            self.heard_shortly(samples, at)

    def _end_handover(self) -> None:
        self._early = None
        if self._handover is not None:
            self._handover.cancel()
            self._handover = None

    def _receive(self, samples: bytes, until: float | None = None) -> None:
        self._on_heard(samples, until)
        self._frames.append(rtc.AudioFrame(samples, HEARD_RATE, 1, len(samples) // 2))
        self._arrived.set()
