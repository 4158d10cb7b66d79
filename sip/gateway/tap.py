"""Audio frames of the LiveKit SDK taken where they arrive, before they are queued for everybody.

The SDK hands every native event to every room's queue, and confirms each captured frame with such
an event: with N calls that is N times 100 N wake-ups a second. The tap takes frames and
confirmations out of that stream; all other events go the SDK's own way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from livekit.rtc._ffi_client import FfiClient

Heard = Callable[[int, bytes], None]  # stream handle, 16-bit PCM


class AudioTap:
    """Calls `heard` on the SDK's event thread for every decoded frame, until closed."""

    def __init__(self, heard: Heard):
        self._heard = heard
        self._queue = FfiClient.instance.queue
        self._put = self._queue.put
        self._drop = FfiClient.instance._ffi_lib.livekit_ffi_drop_handle
        self._queue.put = self._take

    def close(self) -> None:
        """Give the stream of events back to the SDK."""
        self._queue.put = self._put

    def _take(self, event: Any) -> None:
        kind = event.WhichOneof("message")
        if kind == "capture_audio_frame":
            return  # nobody waits for it
        if kind != "audio_stream_event":
            self._put(event)
            return
        stream = event.audio_stream_event
        if stream.WhichOneof("message") != "frame_received":
            return
        frame = stream.frame_received.frame
        size = frame.info.samples_per_channel * frame.info.num_channels * 2
        try:
            self._heard(stream.stream_handle, ctypes.string_at(frame.info.data_ptr, size))
        finally:
            # Every stream of this process is ours, so every frame is ours to give back.
            self._drop(ctypes.c_uint64(frame.handle.id))
