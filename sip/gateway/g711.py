"""G.711 as 16-bit samples: two tables of 256, and no library for them."""

from __future__ import annotations

import sys

PCMU, PCMA = 0, 8
"""Static payload types (RFC 3551, table 4); both are always 8,000 samples a second."""


def _of_mu_law(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _of_a_law(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + (8 if segment == 0 else 0x108)
    magnitude <<= max(0, segment - 1)
    return magnitude if code & 0x80 else -magnitude


def _halves(samples: list[int]) -> tuple[bytes, bytes]:
    """The first and the second byte of each sample, in this machine's order."""
    both = [sample.to_bytes(2, sys.byteorder, signed=True) for sample in samples]
    return bytes(two[0] for two in both), bytes(two[1] for two in both)


_TABLES = {
    PCMU: _halves([_of_mu_law(code) for code in range(256)]),
    PCMA: _halves([_of_a_law(code) for code in range(256)]),
}


def decode(payload_type: int, payload: bytes) -> bytes | None:
    """Samples of a payload; None when it is neither of the two."""
    tables = _TABLES.get(payload_type)
    if tables is None:
        return None
    pcm = bytearray(2 * len(payload))
    pcm[0::2] = payload.translate(tables[0])
    pcm[1::2] = payload.translate(tables[1])
    return bytes(pcm)
