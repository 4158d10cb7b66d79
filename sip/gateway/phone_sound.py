"""A phone's sound at the rate that its call works at, whatever its codec's rate is, or becomes.

A codec may turn out to be another than was expected: by the answer, by a re-INVITE, or by what the
phone just sends.
"""

from __future__ import annotations

from baresip.audio import CallAudio

from process.resampling import Resampler


class PhoneSound:
    """Reads and writes 16-bit mono samples at `rate` (Hz): one thread reads, one writes.

    All methods raise AudioNotActive and AudioRestarted, as CallAudio's do.
    """

    def __init__(self, audio: CallAudio, rate: int) -> None:
        self._audio = audio
        self._rate = rate
        self._heard = self._said = rate  # the codec's own, for either direction
        self._from_phone = self._to_phone = Resampler(rate, rate)

    def read(self, most: int) -> bytes:
        """Up to so many bytes that the phone has said; empty when there are none."""
        heard = self._audio.info().rx_sample_rate or self._rate
        if heard != self._heard:
            self._heard, self._from_phone = heard, Resampler(heard, self._rate)
        return self._from_phone.of(bytes(self._audio.read(most * heard // self._rate)))

    def fill(self) -> int:
        """How many bytes wait to be sent to the phone; `write` follows what this has seen."""
        info = self._audio.info()
        said = info.tx_sample_rate or self._rate
        if said != self._said:
            self._said, self._to_phone = said, Resampler(self._rate, said)
        return info.tx_buffered * self._rate // said

    def write(self, pcm: bytes) -> None:
        """Have the phone hear this after what waits."""
        self._audio.write(self._to_phone.of(pcm))
