"""Just enough SDP and RTP for a phone that plays a recording: PCMU or PCMA, 20 ms (RFC 3551)."""

from __future__ import annotations

import asyncio
import re
import secrets
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sip.limits import number

RATE = 8_000
FRAME = 160
SILENCE = {0: b"\xff", 8: b"\xd5"}
Pcm = npt.NDArray[np.int16]


class NoCommonCodec(Exception):
    """The offer has neither PCMU nor PCMA, or no audio at all."""


def offered_audio(sdp: bytes) -> tuple[tuple[str, int], int]:
    """Return where the far end wants its RTP, and the payload type to send: 0 or 8.

    Raises:
        NoCommonCodec: nothing there that this phone speaks.
    """
    text = sdp.decode("utf-8", "replace")
    media = re.search(r"^m=audio ([0-9]{1,5}) RTP/AVP ([0-9 ]+)", text, re.MULTILINE)
    host = re.findall(r"^c=IN IP4 (\S+)", text, re.MULTILINE)
    if media is None or not host or not (port := number(media[1], most=65_535)):
        raise NoCommonCodec
    payload = next((int(kind) for kind in media[2].split() if kind in ("0", "8")), None)
    if payload is None:
        raise NoCommonCodec
    return (host[-1], port), payload


def answer_sdp(host: str, port: int, payload: int) -> bytes:
    """Return the SDP answer: one audio stream, one codec."""
    name = "PCMU" if payload == 0 else "PCMA"
    lines = (
        "v=0", f"o=carrier {secrets.randbelow(2**31)} 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}",
        "t=0 0", f"m=audio {port} RTP/AVP {payload}", f"a=rtpmap:{payload} {name}/8000",
        "a=ptime:20", "a=sendrecv", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def encode(pcm: Pcm, payload: int) -> bytes:
    """Return `pcm` (8 kHz) in mu-law or A-law (G.711)."""
    return _mulaw(pcm) if payload == 0 else _alaw(pcm)


class Stream(asyncio.DatagramProtocol):
    """One RTP stream out of a port of its own: a recording, then silence, until closed."""

    def __init__(self, remote: tuple[str, int], payload: int, recording: Pcm | None = None) -> None:
        self._remote = remote
        self._payload = payload
        self._sound = b"" if recording is None else encode(recording, payload)
        self._transport: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0
        self.packets_received = 0

    async def open(self, host: str, ports: Iterator[int]) -> None:
        """Bind the first free port of `ports`; raises OSError when there is none."""
        loop = asyncio.get_running_loop()
        for port in ports:
            try:
                transport, _ = await loop.create_datagram_endpoint(lambda: self, (host, port))
            except OSError:
                continue
            self._transport, self.port = transport, port
            return
        raise OSError("no free RTP port")

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Count what arrives."""
        self.packets_received += 1

    def play(self) -> None:
        """Begin to send, at once and every 20 ms."""
        if self._task is None:
            self._task = asyncio.create_task(self._send(), name="carrier.rtp")

    async def close(self) -> None:
        """Stop sending and release the port."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        source, start = secrets.randbits(32), loop.time()
        number = 0
        while self._transport is not None and not self._transport.is_closing():
            chunk = self._sound[number * FRAME : (number + 1) * FRAME]
            header = struct.pack(
                "!BBHII", 0x80, self._payload | (0x80 if number == 0 else 0),
                number & 0xFFFF, number * FRAME & 0xFFFFFFFF, source,
            )  # fmt: skip
            body = chunk.ljust(FRAME, SILENCE[self._payload])
            self._transport.sendto(header + body, self._remote)
            number += 1
            await asyncio.sleep(max(0.0, start + number * 0.02 - loop.time()))


def _mulaw(pcm: Pcm) -> bytes:
    sign = np.where(pcm < 0, 0x80, 0)
    level = np.minimum(np.abs(pcm.astype(np.int32)), 32_635) + 132
    exponent = np.clip(np.floor(np.log2(level)).astype(np.int32) - 7, 0, 7)
    mantissa = (level >> (exponent + 3)) & 0x0F
    coded: bytes = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
    return coded


def _alaw(pcm: Pcm) -> bytes:
    sign = np.where(pcm >= 0, 0x80, 0)
    level = np.minimum(np.abs(pcm.astype(np.int32)), 32_767) >> 3
    exponent = np.clip(np.floor(np.log2(np.maximum(level, 1))).astype(np.int32) - 4, 0, 7)
    mantissa = np.where(exponent == 0, level >> 1, level >> exponent) & 0x0F
    coded: bytes = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8).tobytes()
    return coded
