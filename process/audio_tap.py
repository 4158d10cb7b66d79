"""Audio events of the LiveKit SDK taken where they arrive, before they are queued for everybody.

The SDK hands every native event to every room's queue, every frame to every stream's, and confirms
each captured frame with such an event: with N calls in a process that is N times 100 N wake-ups a
second. The tap takes frames and confirmations out of that; all other events go the SDK's own way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient, FfiHandle
from livekit.rtc._proto import audio_frame_pb2, ffi_pb2

Taker = Callable[[bytes], object]
"""Is given a decoded frame, 16 bit, on the SDK's event thread."""


def let_go(_pcm: bytes) -> None:
    """Take a frame that nobody hears."""


class Listener(Protocol):
    """Whom the tap tells, on the SDK's event thread."""

    def taker(self, stream: int) -> Taker | None:
        """Return who takes this stream's frames; null leaves them to the SDK."""

    def captured(self, request: int, error: str) -> bool:
        """Take the confirmation of a captured frame; False when it is the SDK's."""


class AudioTap:
    """Tells `listener` of every frame and confirmation, until closed."""

    def __init__(self, listener: Listener):
        self._listener = listener
        self._queue = FfiClient.instance.queue
        self._put = self._queue.put
        self._drop = FfiClient.instance._ffi_lib.livekit_ffi_drop_handle
        self._queue.put = self._receive

    def close(self) -> None:
        """Give the stream of events back to the SDK."""
        self._queue.put = self._put

    def _receive(self, event: Any) -> None:
        kind = event.WhichOneof("message")
        if kind == "audio_stream_event":
            taker = self._listener.taker(event.audio_stream_event.stream_handle)
            if taker is not None:
                self._receive_frame(event.audio_stream_event, taker)
                return
        elif kind == "capture_audio_frame" and self._listener.captured(
            event.capture_audio_frame.async_id, event.capture_audio_frame.error
        ):
            return
        self._put(event)

    def _receive_frame(self, stream: Any, taker: Taker) -> None:
        if stream.WhichOneof("message") != "frame_received":
            return
        frame = stream.frame_received.frame
        size = frame.info.samples_per_channel * frame.info.num_channels * 2
        try:
            taker(ctypes.string_at(frame.info.data_ptr, size))
        finally:
            self._drop(ctypes.c_uint64(frame.handle.id))


def open_stream(track: rtc.Track, *, rate: int, frame_ms: int) -> FfiHandle:
    """Begin to decode a subscribed track, mono at `rate` Hz, until the handle is disposed of."""
    request = ffi_pb2.FfiRequest()
    new = request.new_audio_stream
    new.track_handle = track._ffi_handle.handle
    new.sample_rate = rate
    new.num_channels = 1
    new.frame_size_ms = frame_ms
    new.type = audio_frame_pb2.AudioStreamType.AUDIO_STREAM_NATIVE
    return FfiHandle(FfiClient.instance.request(request).new_audio_stream.stream.handle.id)
