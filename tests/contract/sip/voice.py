"""What a phone says and hears in one codec, by FFmpeg's own: tones, and how loud they are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from tests.contract.sip.peer import Packet

WIDE_HZ = 5_000.0
"""What nothing that samples at 8 kHz carries."""
LOUD = 1_500.0
_LEVEL = 9_000


@dataclass(frozen=True)
class Voice:
    """One codec: FFmpeg's name for it, its payload type here, samples a second, RTP's clock."""

    codec: str
    kind: int
    rate: int
    clock: int

    @property
    def step(self) -> int:
        """Of the time stamps, from each packet of 20 ms to the next."""
        return self.clock // 50

    def says(self, hertz: float, packets: int = 50) -> list[bytes]:
        """The payloads of a tone."""
        coder = av.AudioCodecContext.create(self.codec, "w")
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
        decoder = av.AudioCodecContext.create(self.codec, "r")
        decoder.sample_rate, decoder.layout = self.rate, "mono"
        payloads = [packet.payload for packet in packets if packet.payload_type == self.kind]
        frames = [each for payload in payloads for each in decoder.decode(av.Packet(payload))]
        pcm = b"".join(bytes(each.planes[0])[: 2 * each.samples] for each in frames)
        return level(pcm, self.rate, hertz)


G722 = Voice("g722", 9, 16_000, 8_000)


def level(pcm: bytes, rate: int, hertz: float) -> float:
    """The amplitude of a tone in 16-bit samples."""
    samples = np.frombuffer(pcm, np.int16).astype(float)
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return float(2 * abs(samples @ wave) / max(1, len(samples)))
