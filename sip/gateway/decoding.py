"""The payloads of a call's RTP as samples, where they are taken before baresip has them."""

from __future__ import annotations

import av

from process.resampling import Resampler
from sip.gateway import g711
from sip.gateway.codecs import SERVED, Codec

_FFMPEG = {SERVED["g722"]: ("g722", 16_000), SERVED["opus"]: ("libopus", 48_000)}
_OPUS_FRAMES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
_OPUS_MOST = 5_760  # 120 ms


def ticks(codec: Codec, payload: bytes) -> int:
    """How long a payload sounds, by its codec's clock; 0 for one that is broken."""
    return _opus_ticks(payload) if codec is SERVED["opus"] else len(payload)


def _opus_ticks(payload: bytes) -> int:
    """By the packet's first bytes (RFC 6716, section 3.1)."""
    if not payload:
        return 0
    frame, code = _OPUS_FRAMES[payload[0] >> 3], payload[0] & 3
    frames = payload[1] & 0x3F if code == 3 and len(payload) > 1 else (1, 2, 2, 0)[code]
    length = frame * frames
    return length if length <= _OPUS_MOST else 0


class Decoder:
    """Decodes one stream's payloads into 16-bit samples at one rate (Hz), each in its turn.

    What 20 ms take, measured: G.722 a fiftieth of a millisecond, Opus an eighth; half of one to
    begin with.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._codec: Codec | None = None
        self._context: av.AudioCodecContext | None = None
        self._resampler = Resampler(rate, rate)

    def length(self, codec: Codec, payload: bytes) -> int:
        """How many samples a payload will be."""
        return ticks(codec, payload) * self._rate // codec.clock

    def decode(self, codec: Codec, payload: bytes) -> bytes:
        """The samples of a payload, as many as `length` says: silence where it is broken."""
        if codec is not self._codec:
            self._begin(codec)
        pcm = self._resampler.of(self._decoded(payload))
        size = 2 * self.length(codec, payload)
        return pcm[:size].ljust(size, b"\0")

    def _begin(self, codec: Codec) -> None:
        self._codec = codec
        self._context = None
        name, rate = _FFMPEG.get(codec, ("", codec.rate))
        self._resampler = Resampler(rate, self._rate)
        if name:
            context = av.CodecContext.create(name, "r")
            assert isinstance(context, av.AudioCodecContext)
            context.sample_rate, context.layout = rate, "mono"
            self._context = context

    def _decoded(self, payload: bytes) -> bytes:
        if self._context is None:
            law = g711.PCMA if self._codec is SERVED["pcma"] else g711.PCMU
            return g711.decode(law, payload) or b""
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError:
            return b""
        return b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in frames)
