"""One call's sound: what the phone says to the room, what the room says to the phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from baresip.audio import CallAudio
from baresip.errors import AudioNotActive, AudioRestarted
from livekit import rtc

from sip.gateway.codecs import BY_ENCODING
from sip.gateway.jitter import JitterBuffer
from sip.gateway.phone_sound import PhoneSound
from sip.gateway.rtp_port import RtpPort
from sip.gateway.said import is_faint
from sip.gateway.sdp import STATIC
from sip.gateway.short_way import ShortWay
from sip.gateway.telephone_events import KeyReader
from sip.gateway.tones import dial_tone, mixed

_QUIET_S = 0.06  # after this long without RTP the room gets silence instead of nothing
_FULL = 10  # chunks: 100 ms waiting for the phone: drop rather than delay
_CUSHION = 1  # what the next piece may be late by, beside the phase of the phone's own clock
_HELD = 4  # of the agent's sound: the phone takes two at once, and a tick may be late
_WINDOW, _LONG_WINDOW = 200, 1_000  # pieces (2 s, 10 s) over which a lasting excess is judged


class Bridge:
    """The two directions of one call. Its methods are safe from any thread.

    Args:
        rate: of the sound here, 16 bit, mono (Hz); the phone's own may be another.
    """

    def __init__(
        self,
        source: rtc.AudioSource,
        capture: Callable[[bytes], None],
        rate: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.source = source
        self.rate = rate
        self._chunk = rate // 50  # bytes in 10 ms
        self._clock = clock
        self._capture = capture
        self._lock = threading.Lock()
        self._phone: PhoneSound | None = None
        self._since = 0.0
        self._rest = b""
        self._tracks: dict[str, tuple[int, Any]] = {}
        self._waiting: dict[int, bytearray] = {}
        self._room_tone: int | None = None
        self._phone_tone: int | None = None
        self._holds_room = self._holds_phone = False
        self._way: ShortWay | None = None
        self._port: RtpPort | None = None
        self._jitter: JitterBuffer | None = None
        self._reader = KeyReader()
        self.on_key: Callable[[str], object] | None = None  # told on the media thread
        self.formats: Callable[[], Mapping[int, str]] = lambda: STATIC  # of what comes in
        self._wrote_at = 0.0  # what the room says, or a tone
        self._last_push = 0.0
        self._last_rtp: float | None = None
        self._least_fill = _FULL * self._chunk
        self._written = 0
        self.dropped_frames = 0

    # -- set up ----------------------------------------------------------------

    def connect(self, audio: CallAudio, now: float) -> None:
        """The phone has answered: its sound goes to the room from now on, and back."""
        with self._lock:
            self._phone, self._since = PhoneSound(audio, self.rate), now
            self._room_tone = None

    def close(self) -> None:
        """The phone has gone."""
        with self._lock:
            self._phone = None
        if self._way is not None:
            self._way.close()

    def offer(self, way: ShortWay) -> None:
        """Let sound pass by this way as well, once somebody has taken it."""
        self._way = way

    def listen_at(self, port: RtpPort) -> None:
        """Take the phone's sound for the short way from here, when it can be had."""
        self._port = port

    def room_tone(self, on: bool) -> None:
        """Let the room hear a dial tone."""
        self._room_tone = 0 if on else None

    def phone_tone(self, on: bool) -> None:
        """Let the phone hear a dial tone in place of the room."""
        with self._lock:
            self._phone_tone = 0 if on else None

    def hold(self, *, room: bool, phone: bool) -> None:
        """Keep the room's sound from the phone, the phone's from the room, or neither."""
        self._holds_room, self._holds_phone = room, phone

    def quiet_for(self, now: float) -> tuple[bool, float]:
        """Whether RTP ever came, and for how many seconds none has (since the answer if never)."""
        if self._phone is None:
            return (False, 0.0)
        if self._last_rtp is None:
            return (False, now - self._since)
        return (True, now - self._last_rtp)

    def sound_at(self) -> float | None:
        """When the phone was last heard; None before its first sound."""
        return self._last_rtp

    @property
    def heard_tracks(self) -> list[str]:
        """Ids of the tracks the phone hears."""
        return list(self._tracks)

    def add_track(self, sid: str, handle: int, owner: Any) -> None:
        """Mix in a stream; `owner` is disposed of when it ends."""
        with self._lock:
            self._tracks[sid] = (handle, owner)
            self._waiting[handle] = bytearray()

    def remove_track(self, sid: str) -> int | None:
        """Take a stream out; its handle, or None when it was not there."""
        with self._lock:
            handle, owner = self._tracks.pop(sid, (None, None))
            if handle is None or owner is None:
                return None
            self._waiting.pop(handle, None)
        owner.dispose()
        return int(handle)

    # -- phone to room, on the media thread --------------------------------------

    def tick(self, now: float) -> None:
        """Move what the phone has said since the last tick; called every 10 ms."""
        pcm = self._read()
        if pcm:
            self._last_rtp = now
            self._last_push = now
        way = self._way
        if way is not None:
            way.serve(now)
            self._send_short(way, pcm, now)
        if way is None or not way.replaces_room or self._room_tone is not None:
            self._to_room(pcm, now)
        if self._phone_tone is not None:
            self._tick_phone_tone()
        if way is not None and way.waiting:
            self._from_agent(way, now)

    def _to_room(self, pcm: bytes, now: float) -> None:
        if pcm:
            pcm = self._rest + pcm
            whole = len(pcm) - len(pcm) % self._chunk
            for at in range(0, whole, self._chunk):
                self._capture(pcm[at : at + self._chunk])
            self._rest = pcm[whole:]
        elif now - self._last_push >= _QUIET_S:
            self._capture(self._filler())

    def _send_short(self, way: ShortWay, pcm: bytes, now: float) -> None:
        """Send the phone's sound to the agent, by its packets or else as baresip has it."""
        ear = self._port.ear if self._port is not None else None
        packets = list(ear.packets()) if ear is not None else ()  # passed on to baresip
        formats = self.formats()
        coded = [(each, BY_ENCODING.get(formats.get(each.payload_type, ""))) for each in packets]
        for packet, codec in coded:
            key = self._reader.read(packet) if codec is None else None
            if key is not None and self.on_key is not None:
                self.on_key(key)
        if not way.carries or self._phone is None:
            self._jitter = None
            return
        if self._jitter is None:
            self._jitter = JitterBuffer(now, self.rate)
        if not self._holds_phone:  # else there is silence, which ends what was being said
            if ear is None and pcm:
                self._jitter.put_samples(pcm, now)
            for packet, codec in coded:
                self._jitter.put(packet, codec, now)
        way.send(self._jitter.read(now))

    def _read(self) -> bytes:
        phone = self._phone
        if phone is None:
            return b""
        try:
            pcm = phone.read(8 * self._chunk)
        except (AudioNotActive, AudioRestarted):
            return b""
        return bytes(len(pcm)) if self._holds_phone else pcm

    def _filler(self) -> bytes:
        if self._room_tone is None:
            return bytes(self._chunk)
        at = self._room_tone
        self._room_tone = at + self._chunk
        return dial_tone(self.rate).at(at, self._chunk)

    def _tick_phone_tone(self) -> None:
        with self._lock:
            at = self._phone_tone
            if at is None:
                return
            self._phone_tone = at + self._chunk
            self._write(dial_tone(self.rate).at(at, self._chunk))

    # -- room to phone, on the SDK's thread ---------------------------------------

    def heard(self, handle: int, pcm: bytes) -> None:
        """One decoded piece of 10 ms of a track."""
        with self._lock:
            if not self._hears_others:
                return
            if len(self._waiting) == 1 and handle in self._waiting:
                self._write(pcm)
                return
            waiting = self._waiting.get(handle)
            if waiting is None:
                return
            waiting += pcm
            if len(waiting) > _FULL * self._chunk:
                del waiting[: len(waiting) - _FULL * self._chunk]
                self.dropped_frames += 1
            self._mix()

    def _mix(self) -> None:
        """Write when all tracks have a frame, or one has two (the others are late or muted)."""
        frame = 2 * self._chunk
        fills = [len(waiting) for waiting in self._waiting.values()]
        while min(fills) >= frame or max(fills) >= 2 * frame:
            parts = [bytes(w[:frame]) for w in self._waiting.values() if len(w) >= frame]
            for waiting in self._waiting.values():
                if len(waiting) >= frame:
                    del waiting[:frame]
            self._write(mixed(parts))
            fills = [len(waiting) for waiting in self._waiting.values()]

    def _write(self, pcm: bytes) -> None:
        """Put sound before the phone, keeping a small cushion and never a backlog.

        The phone takes 20 ms at a time, whether they are there or not; what it misses is silence
        that stays in front of everything said later, until `_is_too_much` finds it.
        """
        phone = self._phone
        if phone is None:
            return
        self._wrote_at = self._clock()
        try:
            fill = phone.fill()
            if fill == 0:
                phone.write(bytes(_CUSHION * self._chunk))
            elif fill >= _FULL * self._chunk or self._is_too_much(fill, pcm):
                self.dropped_frames += 1
                self._least_fill, self._written = _FULL * self._chunk, 0
                return
            phone.write(self._with_agent(pcm))
        except (AudioNotActive, AudioRestarted):
            return

    def _with_agent(self, pcm: bytes) -> bytes:
        """What the room says with what the agent says meanwhile."""
        way = self._way
        if way is None or not way.waiting or not self._hears_others:
            return pcm
        pieces = [
            way.read(self._wrote_at) or bytes(self._chunk) for _ in range(len(pcm) // self._chunk)
        ]
        return mixed([pcm, b"".join(pieces)])

    def _from_agent(self, way: ShortWay, now: float) -> None:
        """Put what the agent says before the phone, unless it is mixed into what the room says."""
        with self._lock:
            phone = self._phone
            if phone is None or not self._hears_others:
                way.skip(now)
            elif now - self._wrote_at >= _QUIET_S:
                try:
                    fill = phone.fill()
                    while fill < _HELD * self._chunk and (piece := way.read(now)) is not None:
                        phone.write(piece)
                        fill += self._chunk
                except (AudioNotActive, AudioRestarted):
                    return

    @property
    def _hears_others(self) -> bool:
        return self._phone is not None and self._phone_tone is None and not self._holds_room

    def _is_too_much(self, fill: int, pcm: bytes) -> bool:
        """True for a piece that may go: one more than the cushion lay unused all along."""
        self._least_fill = min(self._least_fill, fill)
        self._written += 1
        if self._written < _WINDOW:
            return False
        if self._least_fill > _CUSHION * self._chunk:
            if is_faint(pcm):
                return True
            if self._written < _LONG_WINDOW:
                return False  # a pause in what is said will come
        least, self._least_fill, self._written = self._least_fill, _FULL * self._chunk, 0
        return least >= 4 * self._chunk
