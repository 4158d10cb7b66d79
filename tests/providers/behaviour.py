"""What a provider server is told to do wrong, or late; every server obeys it through `delivery`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

HUGE_BYTES = 1_000_000
CAPABILITIES = (
    "openai.chat",
    "openai.tts",
    "openai.stt",
    "openai.realtime",
    "openrouter.chat",
    "mistral.chat",
    "custom.chat",
    "cartesia.tts",
    "cartesia.stt",
    "elevenlabs.tts",
    "elevenlabs.stt",
    "google.realtime",
)


class Fault(StrEnum):
    """One way for an answer to go wrong.

    `empty` is an answer in due form with nothing in it, `zero_bytes` is nothing at all where bytes
    were promised; `truncate` ends the connection in order, `disconnect` drops it. The last three
    are for recognisers: no transcript, every transcript twice, transcripts `late_ms` late.
    """

    TRUNCATE = "truncate"
    GARBAGE = "garbage"
    EMPTY = "empty"
    ENDLESS = "endless"
    HUGE = "huge"
    HANG = "hang"
    STALL = "stall"
    DISCONNECT = "disconnect"
    ZERO_BYTES = "zero_bytes"
    SILENT = "silent"
    DUPLICATE_FINALS = "duplicate_finals"
    LATE_FINALS = "late_finals"


class Behaviour(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer is given.

    Args:
        latency_ms: before its first byte.
        gap_ms: between its pieces (deltas, chunks of audio).
        status: refuse with this HTTP status, in the provider's own shape.
        after: pieces sent before a truncation, a stall or a disconnection; without it one piece
            before the first two and none before a disconnection.
        after_bytes: bytes sent before a truncation or a disconnection, instead of `after`.
        late_ms: how late late transcripts are.
        sample_rate: audio is of this rate, whatever was asked for.
    """

    latency_ms: int = 0
    gap_ms: int = 0
    status: int | None = None
    fault: Fault | None = None
    after: int | None = None
    after_bytes: int | None = None
    late_ms: int = 2_000
    sample_rate: int | None = None

    def pieces_before_fault(self) -> int | None:
        """Return how many pieces are sent before the answer stops, or null for all."""
        if self.fault is Fault.HANG:
            return 0
        if self.fault not in (Fault.TRUNCATE, Fault.STALL, Fault.DISCONNECT):
            return None
        if self.after_bytes is not None:
            return None
        if self.after is not None:
            return self.after
        return 0 if self.fault is Fault.DISCONNECT else 1

    def text(self, proper: str) -> str:
        """Return the text to answer instead of `proper`."""
        if self.fault is Fault.HUGE:
            padded = f"{proper} "
            return padded * (HUGE_BYTES // len(padded) + 1)
        if self.fault in (Fault.EMPTY, Fault.ZERO_BYTES, Fault.SILENT):
            return ""
        return proper

    def audio(self, proper: bytes) -> bytes:
        """Return the 16-bit audio to answer instead of `proper`."""
        if self.fault is Fault.HUGE and proper:
            return proper * (HUGE_BYTES // len(proper) + 1)
        if self.fault in (Fault.EMPTY, Fault.ZERO_BYTES):
            return b""
        return proper


PLAIN = Behaviour()


def deltas(text: str, most: int = 64) -> list[str]:
    """Return `text` cut between words, in at most about `most` pieces."""
    words = [f"{word} " for word in text.split(" ")]
    words[-1] = words[-1][:-1]
    each = max(1, -(-len(words) // most))
    grouped = ("".join(words[start : start + each]) for start in range(0, len(words), each))
    return [piece for piece in grouped if piece]


def chunks(pcm: bytes, rate: int, chunk_ms: int = 100) -> list[bytes]:
    """Return 16-bit mono `pcm` in chunks of `chunk_ms`; one empty chunk for no audio."""
    size = max(2, rate * chunk_ms // 1_000 * 2)
    return [pcm[start : start + size] for start in range(0, len(pcm), size)] or [b""]
