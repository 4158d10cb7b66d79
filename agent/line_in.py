"""What the agent hears of the telephone line.

It takes the place of LiveKit's room input so that the recording knows exactly what was heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io

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
        self._pump: asyncio.Task[None] | None = None

    def connect(self, track: rtc.Track) -> None:
        """Listen to `track` from now on, and to nothing else."""
        if self._pump is not None:
            self._pump.cancel()
        self._pump = asyncio.create_task(self._read(track), name="line in")

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._frames:
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    async def aclose(self) -> None:
        """Stop listening."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _read(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=HEARD_RATE, num_channels=1, frame_size_ms=FRAME_MS
        )
        try:
            async for event in stream:
                self._on_heard(bytes(event.frame.data))
                self._frames.append(event.frame)
                self._arrived.set()
        finally:
            await stream.aclose()
