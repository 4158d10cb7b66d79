"""What a phone says and hears in one codec, by FFmpeg's own: tones, and how loud they are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from tests.contract.sip.peer import Packet

WIDE_HZ = 5_000.0
"""What nothing that samples at 8 kHz carries."""
LOUD = 6_000.0
_LEVEL = 9_000


@dataclass(frozen=True)
class Voice:
    """One codec: FFmpeg's names for what says and what hears it, its payload type here, and so on.

    Attributes:
        rate: samples a second.
        clock: of RTP.
    """

    says_by: str
    heard_by: str
    kind: int
    rate: int
    clock: int

    @property
    def step(self) -> int:
        """Of the time stamps, from each packet of 20 ms to the next."""
        return self.clock // 50

    def says(self, hertz: float, packets: int = 50) -> list[bytes]:
        """The payloads of a tone."""
        coder = av.CodecContext.create(self.says_by, "w")
        assert isinstance(coder, av.AudioCodecContext)
        coder.sample_rate, coder.layout, coder.format = self.rate, "mono", "s16"
        coder.time_base = Fraction(1, self.rate)
        size = self.rate // 50
        wave = np.sin(2 * np.pi * hertz * np.arange(packets * size) / self.rate)
        samples = (_LEVEL * wave).astype(np.int16)
        payloads = []
        for at in range(0, len(samples), size):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + size], "s16", "mono")
            frame.sample_rate, frame.pts = self.rate, at
            payloads += [bytes(packet) for packet in coder.encode(frame)]
        return payloads

    def heard(self, packets: list[Packet], hertz: float) -> float:
        """How loud a tone is in these packets, those of other payload types left out."""
        decoder = av.CodecContext.create(self.heard_by, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate, decoder.layout = self.rate, "mono"
        payloads = [packet.payload for packet in packets if packet.payload_type == self.kind]
        frames = [each for payload in payloads for each in decoder.decode(av.Packet(payload))]
        pieces = [frame.to_ndarray().astype(float)[0] for frame in frames]
        full = 32_768 if self.heard_by == "opus" else 1
        return amplitude(full * np.concatenate([np.zeros(1), *pieces]), self.rate, hertz)


PCMU = Voice("pcm_mulaw", "pcm_mulaw", 0, 8_000, 8_000)
G722 = Voice("g722", "g722", 9, 16_000, 8_000)
OPUS = Voice("libopus", "opus", 96, 48_000, 48_000)
"""Said by libopus, as the gateway's; heard by FFmpeg's own decoder."""


def level(pcm: bytes, rate: int, hertz: float) -> float:
    """The amplitude of a tone in 16-bit samples."""
    return amplitude(np.frombuffer(pcm, np.int16).astype(float), rate, hertz)


def amplitude(samples: npt.NDArray[np.float64], rate: int, hertz: float) -> float:
    """The same of numbers."""
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return float(2 * abs(samples @ wave) / max(1, len(samples)))
