"""One side's samples on the call's clock, and samples as Ogg/Opus pages."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import av
import numpy as np

from agent.audio.mixing import Samples

RATE = 16_000
PAGE_S = 0.5
RESYNC_S = 0.1
"""Arrival may jitter this much before a channel takes the clock's word over its own count."""


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

    def read(self, until: int) -> Samples:
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
    """Samples in, Ogg pages out.

    Args:
        layout: `stereo` or `mono`.
        bit_rate: bit/s.
    """

    def __init__(self, layout: str = "stereo", bit_rate: int = 32_000) -> None:
        self._layout = layout
        self._out = _Pages()
        self._container = av.open(
            cast(Any, self._out),
            mode="w",
            format="ogg",
            options={"page_duration": str(int(PAGE_S * 1e6)), "flush_packets": "1"},
        )
        self._stream = self._container.add_stream("libopus", rate=RATE, layout=layout)
        self._stream.bit_rate = bit_rate

    def encode(self, *channels: Samples) -> bytes:
        """Return the pages that these samples, as many on each channel, completed, perhaps none."""
        interleaved = np.stack(channels, axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=self._layout)
        frame.sample_rate = RATE
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        return self._out.drain()

    def finish(self) -> bytes:
        """Return the last pages."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return self._out.drain()


class BackgroundEncoder:
    """An `Encoder` in the process's encoding thread, which the calls share.

    libopus needs a tenth of a second for its first samples on a busy machine; meanwhile a call
    goes on. What is asked for is done in the order of asking, also when nobody waits any more.

    Args:
        layout: `stereo` or `mono`.
        bit_rate: bit/s.
    """

    def __init__(self, layout: str = "stereo", bit_rate: int = 32_000) -> None:
        self._layout = layout
        self._bit_rate = bit_rate
        self._encoder: Encoder | None = None

    def encode(self, *channels: Samples) -> Future[bytes]:
        """Return the pages to come that these samples, as many on each channel, complete."""
        return ENCODING.submit(lambda: self._opened().encode(*channels))

    def finish(self) -> Future[bytes]:
        """Return the last pages to come."""
        return ENCODING.submit(self._finish)

    def _finish(self) -> bytes:
        # Dropped here: it holds native threads, and whoever holds this may be collected late.
        last, self._encoder = self._opened().finish(), None
        return last

    def _opened(self) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(self._layout, self._bit_rate)
        return self._encoder


ENCODING = ThreadPoolExecutor(1, thread_name_prefix="recordings")
"""One, so that at most one core encodes however many calls begin at once."""


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

    def drain(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken
