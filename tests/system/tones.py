"""Phones that say tones: who hears whom is read from what each phone is sent (G.711 µ-law)."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from sip.message import Request
from tests.contract.sip.peer import Packet, Phone, Talk
from tests.contract.sip.voice import amplitude

RATE = 8_000
PACKET = 160


QUIET = b"\xff" * PACKET


class Voice:
    """What a phone says, packet by packet without a break; `payload` may change at any time."""

    def __init__(self, phone: Phone, to: tuple[str, int], payload: bytes = QUIET) -> None:
        self.payload = payload
        self.said = deque[bytes]()
        """Packets that are said once, before `payload` is again."""
        self._phone, self._to = phone, to
        self._task = asyncio.create_task(self._speak())

    async def stop(self) -> None:
        """Say nothing more, not even silence."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _speak(self) -> None:
        due = time.monotonic()
        for sequence in itertools.count():
            payload = self.said.popleft() if self.said else self.payload
            self._phone.send_rtp(self._to, sequence & 0xFFFF, sequence * PACKET, payload)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def ulaw(samples: Sequence[float]) -> bytes:
    """Return samples (-1 to 1) in G.711 µ-law."""
    coded = bytearray()
    for sample in samples:
        size = min(32_635, round(abs(sample) * 32_767)) + 132
        exponent = size.bit_length() - 8
        coded.append(~((sample < 0) << 7 | exponent << 4 | (size >> (exponent + 3)) & 15) & 255)
    return bytes(coded)


def linear(coded: bytes) -> np.ndarray:
    """Return the samples of G.711 µ-law, -1 to 1."""
    flipped = ~np.frombuffer(coded, np.uint8)
    size = ((flipped & 15).astype(np.int32) * 8 + 132) << ((flipped >> 4) & 7).astype(np.int32)
    return np.where(flipped & 128, 132 - size, size - 132) / 32_768


def tone(hertz: int) -> bytes:
    """Return a packet that can be repeated without a click; a multiple of 50 Hz."""
    assert hertz % (RATE // PACKET) == 0
    return ulaw([0.4 * math.sin(2 * math.pi * hertz * n / RATE) for n in range(PACKET)])


def loudness(packets: Sequence[Packet], hertz: int) -> float:
    """Return how loud a tone is among all that was heard, 0 to 1; 0.4 is as loud as it was said."""
    if not packets:
        return 0.0
    heard = linear(b"".join(each.payload for each in packets if each.payload_type == 0))
    return amplitude(heard, RATE, hertz)


def hears(phone: Phone, hertz: int, *, for_packets: int = 25) -> bool:
    """Whether the phone hears a tone now, over its last half second."""
    return loudness(phone.rtp.packets[-for_packets:], hertz) > 0.05


def has_heard(phone: Phone, hertz: int, *, since: int) -> bool:
    """Whether the phone has heard a tone at any time since it had so many packets."""
    heard = phone.rtp.packets[since:]
    return any(
        loudness(heard[at : at + 25], hertz) > 0.05 for at in range(0, max(1, len(heard) - 24), 10)
    )


async def until_hears(phone: Phone, hertz: int, limit_s: float) -> None:
    """Wait until the phone hears a tone."""
    await phone.rtp.until(lambda _: hears(phone, hertz), limit_s)


def answer_as(human: Phone, through: Phone, invite: Request) -> Talk:
    """Answer a call that came to `through`, with the sound of `human`: one address, two phones."""
    through.reply(invite, 200, "OK", body=human.sdp("0 101"))
    port = int(invite.body.split(b"m=audio ")[1].split(b" ")[0])
    return Talk(
        through,
        local=(invite.header("to") or "") + ";tag=phonetag",
        remote=invite.header("from") or "",
        call_id=invite.call_id,
        target=invite.address("contact").uri,
        rtp_to=(human.host, port),
    )
