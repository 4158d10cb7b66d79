"""The agent-side recording: stereo Ogg/Opus, caller left, agent right, sent away as it is written.

Both channels sit on the call's own clock: the caller where the audio arrived, the agent where it
was played. A page holds at most half a second, so a dying agent loses about that much.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Callable
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from livekit import rtc
from msgspec import Struct

from agent.internal_api import Refused, SessionApi, Unreachable
from agent.line import HEARD_RATE, SAID_RATE
from process.logs import get_logger

log = get_logger(__name__)

RATE = 16_000
PAGE_S = 0.5
LAG_S = 0.4
"""How far behind the present the writer stays: speech in flight may still be cut."""
RESYNC_S = 0.1
"""Arrival may jitter this much before a channel takes the clock's word over its own count."""
RETRY_S = 0.5

Samples = npt.NDArray[np.int16]


class Finished(Struct, frozen=True):
    """The whole recording, as stored."""

    size_bytes: int
    duration_ms: int
    sha256: str


class Channel:
    """One side's samples on the call's timeline; silence where nothing was placed."""

    def __init__(self) -> None:
        self._samples = np.zeros(0, dtype=np.int16)
        self._start = 0  # timeline position of the first sample kept
        self._next: int | None = None

    def place(self, samples: Samples, at: int) -> None:
        """Put `samples` at timeline position `at`, or where the last ones ended if that is near."""
        if self._next is not None and abs(at - self._next) <= RESYNC_S * RATE:
            at = self._next
        self._next = at + len(samples)
        if at < self._start:
            samples = samples[self._start - at :]
            at = self._start
        end = at + len(samples)
        self._grow(end)
        self._samples[at - self._start : end - self._start] = samples

    def cut(self, at: int) -> None:
        """Silence everything from timeline position `at` on."""
        self._samples[max(0, at - self._start) :] = 0
        self._next = None

    def take(self, until: int) -> Samples:
        """Return and forget the samples up to timeline position `until`."""
        self._grow(until)
        taken = self._samples[: until - self._start]
        self._samples = self._samples[until - self._start :]
        self._start = until
        return taken

    def _grow(self, end: int) -> None:
        missing = end - self._start - len(self._samples)
        if missing > 0:
            self._samples = np.concatenate([self._samples, np.zeros(missing, dtype=np.int16)])


class Encoder:
    """Stereo samples in, Ogg pages out."""

    def __init__(self) -> None:
        self._out = _Pages()
        self._container = av.open(
            cast(Any, self._out),
            mode="w",
            format="ogg",
            options={"page_duration": str(int(PAGE_S * 1e6)), "flush_packets": "1"},
        )
        self._stream = self._container.add_stream("libopus", rate=RATE, layout="stereo")
        self._stream.bit_rate = 32_000

    def encode(self, left: Samples, right: Samples) -> bytes:
        """Return the pages that these samples completed, perhaps none."""
        interleaved = np.stack([left, right], axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout="stereo")
        frame.sample_rate = RATE
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        return self._out.take()

    def finish(self) -> bytes:
        """Return the last pages."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return self._out.take()


class _Pages(io.RawIOBase):
    """A write-only file that hands over what was written."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._buffer += bytes(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken


class StereoRecorder:
    """Records one call and streams it to the control plane.

    `heard` and `said`, `cut` are fed by the line; `start` begins the timeline, `finish` ends it.
    """

    def __init__(
        self, api: SessionApi, session_id: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._session_id = session_id
        self._clock = clock
        self._caller, self._agent = Channel(), Channel()
        self._downsample = rtc.AudioResampler(SAID_RATE, RATE, num_channels=1)
        self._encoder = Encoder()
        self._digest = hashlib.sha256()
        self._unsent = bytearray()
        self._sent = 0
        self._written = 0  # samples
        self._started_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: now is the recording's time zero."""
        self._started_at = self._clock()
        self._task = asyncio.create_task(self._run(), name="recording")

    def heard(self, samples: bytes) -> None:
        """Take the caller's samples (int16 mono, `HEARD_RATE`) that have just arrived."""
        if self._started_at is None:
            return
        arrived = np.frombuffer(samples, dtype=np.int16)
        self._caller.place(arrived, self._position(self._clock()) - len(arrived))

    def said(self, samples: bytes, at: float) -> None:
        """Take the agent's samples (int16 mono, `SAID_RATE`) that play from `at` on."""
        if self._started_at is None:
            return
        frame = rtc.AudioFrame(samples, SAID_RATE, 1, len(samples) // 2)
        for lower in self._downsample.push(frame):
            self._agent.place(np.frombuffer(lower.data, dtype=np.int16), self._position(at))

    def cut(self, at: float) -> None:
        """Forget the agent's samples that would have played after `at`."""
        if self._started_at is not None:
            self._agent.cut(self._position(at))

    async def finish(self, limit_s: float) -> Finished | None:
        """Write what is left and return the stored recording; null if it could not be stored.

        Args:
            limit_s: how long the control plane may take.
        """
        if self._task is None:
            return None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._write(self._position(self._clock()))
        self._keep(self._encoder.finish())
        try:
            async with asyncio.timeout(limit_s):
                await self._send_all()
        except (TimeoutError, Refused) as exc:
            log.error("the recording could not be stored", why=str(exc), unsent=len(self._unsent))
            return None
        return Finished(self._sent, self._written * 1000 // RATE, self._digest.hexdigest())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAGE_S)
            self._write(self._position(self._clock() - LAG_S))
            try:
                await self._send()
            except Unreachable as exc:
                log.warning("a page of the recording waits", why=str(exc))
            except Refused as exc:
                log.error("the recording was refused", why=str(exc))
                return

    async def _send_all(self) -> None:
        while self._unsent:
            try:
                await self._send()
            except Unreachable:
                await asyncio.sleep(RETRY_S)

    async def _send(self) -> None:
        if not self._unsent:
            return
        page = bytes(self._unsent)
        size = await self._api.post_recording(self._session_id, self._sent, page)
        del self._unsent[: size - self._sent]
        self._sent = size

    def _write(self, until: int) -> None:
        if until > self._written:
            left, right = self._caller.take(until), self._agent.take(until)
            self._written = until
            self._keep(self._encoder.encode(left, right))

    def _keep(self, pages: bytes) -> None:
        self._digest.update(pages)
        self._unsent += pages

    def _position(self, at: float) -> int:
        assert self._started_at is not None
        return max(0, round((at - self._started_at) * RATE))


assert HEARD_RATE == RATE, "the caller's audio is recorded as it is heard"
