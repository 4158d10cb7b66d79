"""What the agent hears of the telephone line.

It takes the place of LiveKit's room input so that the recording knows exactly what was heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io
from livekit.rtc._ffi_client import FfiHandle

from agent.line_events import EVENTS

HEARD_RATE = 16_000
"""Hz of the caller's audio: what voice activity detection and the recogniser work at."""
FRAME_MS = 20


class LineIn(io.AudioInput):
    """The caller's audio, mono int16 at `HEARD_RATE` in frames of `FRAME_MS`.

    Args:
        on_heard: called with each frame's samples as it arrives.
    """

    def __init__(self, on_heard: Callable[[bytes], None]) -> None:
        super().__init__(label="line")
        self._on_heard = on_heard
        # A session that stops listening must not make a call grow: 5 s, then the oldest goes.
        self._frames: deque[rtc.AudioFrame] = deque(maxlen=5_000 // FRAME_MS)
        self._arrived = asyncio.Event()
        self._stream: FfiHandle | None = None

    def connect(self, track: rtc.Track) -> None:
        """Listen to `track` from now on, and to nothing else."""
        self.close()
        self._stream = EVENTS.listen(track, rate=HEARD_RATE, frame_ms=FRAME_MS, heard=self._take)

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._frames:
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def close(self) -> None:
        """Stop listening."""
        if self._stream is not None:
            EVENTS.end(self._stream)
            self._stream = None

    def _take(self, samples: bytes) -> None:
        self._on_heard(samples)
        self._frames.append(rtc.AudioFrame(samples, HEARD_RATE, 1, len(samples) // 2))
        self._arrived.set()
