"""The SDK's audio events of this worker, each to the one call that it concerns.

All calls of a worker share the SDK, which would wake every call for every frame of every other.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Callable

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient, FfiHandle
from livekit.rtc._proto import ffi_pb2

from process.audio_tap import AudioTap, Taker, let_go, open_stream

Heard = Callable[[bytes], None]
_ENDED = 256
"""Streams that ended lately: a frame of one may still be on its way."""


class LineEvents:
    """Who waits for what. Its methods are safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[int, Taker] = {}
        self._ended: deque[int] = deque(maxlen=_ENDED)
        self._captures: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]] = {}
        self._tap: AudioTap | None = None

    def listen(self, track: rtc.Track, *, rate: int, frame_ms: int, heard: Heard) -> FfiHandle:
        """Call `heard` in the running loop with every frame of `track` (mono int16)."""
        loop = asyncio.get_running_loop()
        with self._lock:  # so that the first frame finds its place
            self._begin()
            stream = open_stream(track, rate=rate, frame_ms=frame_ms)
            self._streams[stream.handle] = functools.partial(_call, loop, heard)
        return stream

    def end(self, stream: FfiHandle) -> None:
        """Hear no more of a stream."""
        with self._lock:
            self._streams.pop(stream.handle, None)
            self._ended.append(stream.handle)
        stream.dispose()

    async def capture(self, source: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
        """Hand a frame to a track; returns once there is room for it in the source's queue.

        Raises:
            RuntimeError: the SDK refused it.
        """
        request = ffi_pb2.FfiRequest()
        request.capture_audio_frame.source_handle = source._ffi_handle.handle
        request.capture_audio_frame.buffer.CopyFrom(frame._proto_info())
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        with self._lock:
            self._begin()
            number = FfiClient.instance.request(request).capture_audio_frame.async_id
            self._captures[number] = (loop, done)
        try:
            error = await done
        finally:
            with self._lock:
                self._captures.pop(number, None)
        if error:
            raise RuntimeError(error)

    # -- told by the tap, on the SDK's thread --------------------------------------------------

    def taker(self, stream: int) -> Taker | None:
        """Return who hears a stream; null if it never was one of these."""
        with self._lock:
            found = self._streams.get(stream)
            return let_go if found is None and stream in self._ended else found

    def captured(self, request: int, error: str) -> bool:
        """A frame was taken, or refused."""
        with self._lock:
            found = self._captures.get(request)
        if found is None:
            return False
        loop, done = found
        _call(loop, _settle, done, error)
        return True

    def _begin(self) -> None:
        if self._tap is None:
            self._tap = AudioTap(self)


def _settle(done: asyncio.Future[str], error: str) -> None:
    if not done.done():
        done.set_result(error)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(what, *args)
    except RuntimeError:  # the call is over and its loop closed
        return


EVENTS = LineEvents()
"""The worker's own: the SDK is one per process, too."""
