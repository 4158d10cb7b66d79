"""Sound between phones and rooms: one thread for all calls, no Python task per frame.

Phone to room: the thread reads each call every 10 ms and captures straight into WebRTC, which adds
no queue. Room to phone: the SDK's event thread writes each decoded frame into baresip's buffer at
once, mixing only when several tracks are subscribed. The SDK's own AudioStream and capture_frame
cost a queue and a task per frame and call, and grow with the square of the calls.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import time

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto import ffi_pb2

from process.audio_tap import AudioTap, Taker, let_go, open_stream
from process.logs import get_logger
from sip.gateway.bridge import Bridge

log = get_logger("sip.gateway.media")

TICK_S = 0.01


class MediaEngine:
    """The thread that moves sound for every open bridge."""

    def __init__(self) -> None:
        self._bridges: dict[int, Bridge] = {}
        self._streams: dict[int, Taker] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="offhook-media", daemon=True)
        self._tap: AudioTap | None = None
        self.late_ticks = 0

    def start(self) -> None:
        """Start the thread and listen to the SDK's audio events."""
        self._tap = AudioTap(self)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        if self._tap is not None:
            self._tap.close()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def open(self, rate: int) -> Bridge:
        """A new bridge at a rate (Hz); its source can be published at once and carries silence."""
        source = rtc.AudioSource(rate, 1, queue_size_ms=0)
        bridge = Bridge(source, Capture(source), rate)
        with self._lock:
            self._bridges[id(bridge)] = bridge
        return bridge

    def close(self, bridge: Bridge) -> None:
        """Drop a bridge and its streams."""
        with self._lock:
            self._bridges.pop(id(bridge), None)
        for sid in bridge.heard_tracks:
            self.unhear(bridge, sid)
        bridge.close()

    def hear(self, bridge: Bridge, sid: str, track: rtc.Track) -> None:
        """Let the phone hear a subscribed track, unless the bridge is closed already."""
        with self._lock:
            if id(bridge) not in self._bridges:
                return  # nobody would ever close the stream, which keeps the whole connection
        # In pieces of 10 ms: 20 would wait for their second half.
        stream = open_stream(track, rate=bridge.rate, frame_ms=10)
        self._streams[stream.handle] = functools.partial(bridge.heard, stream.handle)
        bridge.add_track(sid, stream.handle, stream)

    def unhear(self, bridge: Bridge, sid: str) -> None:
        """Stop a track from being heard."""
        handle = bridge.remove_track(sid)
        if handle is not None:
            self._streams.pop(handle, None)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now - due > 0.03:
                self.late_ticks += 1
                due = now  # after a stall the lost ticks are not made up
            due += TICK_S
            self._tick(now)

    def _tick(self, now: float) -> None:
        # A method of its own: between the ticks no variable holds a call that is over.
        with self._lock:
            bridges = list(self._bridges.values())
        for bridge in bridges:
            bridge.tick(now)

    # -- told by the tap, on the SDK's thread: all sound of this process is its own ------------

    def taker(self, stream: int) -> Taker:
        """Return the bridge that hears a stream."""
        return self._streams.get(stream, let_go)

    def captured(self, _request: int, _error: str) -> bool:
        """A captured frame was taken; nobody waits for it."""
        return True


class Capture:
    """Gives 10 ms frames to a room track without waiting for the SDK's confirmation.

    The requests differ by the buffer alone, so each is encoded once; the SDK's own way of asking
    encodes, decodes and wraps a handle for every frame of every call.
    """

    def __init__(self, source: rtc.AudioSource):
        self._source = source  # its handle must outlive the requests
        self._library = FfiClient.instance._ffi_lib
        self._answer = ctypes.POINTER(ctypes.c_ubyte)()
        self._size = ctypes.c_size_t()
        # The SDK copies the samples while the request runs; a few buffers stay alive all the same.
        buffers = [ctypes.create_string_buffer(source.sample_rate // 50) for _ in range(16)]
        self._turns = itertools.cycle([(buffer, self._request(buffer)) for buffer in buffers])

    def _request(self, buffer: ctypes.Array[ctypes.c_char]) -> ctypes.Array[ctypes.c_ubyte]:
        request = ffi_pb2.FfiRequest()
        request.capture_audio_frame.source_handle = self._source._ffi_handle.handle
        info = request.capture_audio_frame.buffer
        info.data_ptr = ctypes.addressof(buffer)
        info.sample_rate = self._source.sample_rate
        info.num_channels = 1
        info.samples_per_channel = self._source.sample_rate // 100
        encoded = request.SerializeToString()
        return (ctypes.c_ubyte * len(encoded)).from_buffer_copy(encoded)

    def __call__(self, pcm: bytes) -> None:
        """Capture one frame of 10 ms (16 bit, at the source's rate); one thread at a time."""
        buffer, request = next(self._turns)
        ctypes.memmove(buffer, pcm, len(pcm))
        handle = self._library.livekit_ffi_request(
            request, len(request), ctypes.byref(self._answer), ctypes.byref(self._size)
        )
        if not self._library.livekit_ffi_drop_handle(handle):
            raise RuntimeError("the SDK did not understand a request to capture a frame")
