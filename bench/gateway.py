"""GW1: how many calls one gateway process carries without a gap in what the phones hear.

Each call has a room of its own whose other participant publishes a tone; the phone speaks, too.
RTP is timed by the kernel (SO_TIMESTAMPNS), so the bench's own delays do not count as gaps; the
machine's load by this bench and livekit-server does. Run: `python -m bench.gateway`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import socket
import struct
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from livekit import api, rtc
from livekit.protocol import sip as proto

from process.audio_tap import AudioTap, Taker, let_go
from sip.gateway.media import Capture
from sip.gateway.tones import Cadence
from sip.message import Request, Response, parse
from tests.contract.sip.conftest import KEY, SECRET, end, gateway_plan, start_livekit
from tests.contract.sip.peer import QUIET, TONE

STEPS = (5, 10, 20, 30, 40)
WINDOW_S = 10.0
GAP_S = 0.040
WANTED = 30
_SO_TIMESTAMPNS = 35
_LOUD = 40
_STEADY = Cadence(440.0, 1.0, 0.0, 8_000)


@dataclass
class Line:
    """One phone: its RTP socket, and what arrived in the measured window."""

    sock: socket.socket
    call_id: str = ""
    to: tuple[str, int] = ("", 0)
    arrivals: list[tuple[float, bool]] = field(default_factory=list)

    def read(self) -> None:
        data, extra, _, _ = self.sock.recvmsg(2048, 64)
        if len(data) < 12 or data[1] & 0x7F != 0:
            return
        seconds, nanos = struct.unpack("ll", extra[0][2])
        self.arrivals.append(
            (seconds + nanos / 1e9, sum(b not in QUIET for b in data[12:]) > _LOUD)
        )

    def worst_pause(self) -> float:
        """The longest time between two packets, in seconds."""
        times = [at for at, _ in self.arrivals]
        return max((b - a for a, b in itertools.pairwise(times)), default=WINDOW_S)

    def worst_hole(self) -> float:
        """The longest run of silent packets inside the tone, in seconds."""
        worst = run = 0
        for _, loud in self.arrivals:
            run = 0 if loud else run + 1
            worst = max(worst, run)
        return worst * 0.02


class Exchange(asyncio.DatagramProtocol):
    """Answers every INVITE with a line of its own."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse(data, addr)
        if not isinstance(message, Request) or message.method == "ACK":
            return
        body = ""
        if message.method == "INVITE":
            line = self.lines.get(message.call_id) or self._line(message)
            port = line.sock.getsockname()[1]
            body = (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
            )
        names = ("via", "from", "call-id", "cseq")
        headers = [(n, v) for n, v in message.headers if n.lower() in names]
        to = message.header("to") or ""
        headers.append(("To", to if "tag=" in to else f"{to};tag=x"))
        headers.append(("Contact", f"<sip:phone@127.0.0.1:{self.port}>"))
        if body:
            headers.append(("Content-Type", "application/sdp"))
        answer = Response(headers, body.encode(), 200, "OK")
        self.transport.sendto(answer.encode(), addr)

    def _line(self, invite: Request) -> Line:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        port = int(invite.body.split(b"m=audio ")[1].split(b" ")[0])
        line = Line(sock, invite.call_id, ("127.0.0.1", port))
        self.lines[invite.call_id] = line
        asyncio.get_running_loop().add_reader(sock, line.read)
        return line


class Speakers(threading.Thread):
    """Feeds a tone to every room's track and RTP to every phone's far end, from one thread."""

    def __init__(self, exchange: Exchange):
        super().__init__(daemon=True)
        self.captures: list[Capture] = []
        self.done = threading.Event()
        self._exchange = exchange

    def run(self) -> None:
        due, tick = time.monotonic(), 0
        while not self.done.wait(max(0.0, due - time.monotonic())):
            due += 0.01
            pcm = _STEADY.at(tick * 160, 160)
            for capture in list(self.captures):
                capture(pcm)
            if tick % 2 == 0:
                n = tick // 2
                head = b"\x80\x00" + (n & 0xFFFF).to_bytes(2, "big")
                packet = head + (n * 160 & 0xFFFFFFFF).to_bytes(4, "big") + b"bnch" + TONE
                for line in list(self._exchange.lines.values()):
                    line.sock.sendto(packet, line.to)
            tick += 1


class _Deaf:
    """Lets the rooms' sound go by, which the SDK would queue for everybody."""

    def taker(self, _stream: int) -> Taker:
        return let_go

    def captured(self, _request: int, _error: str) -> bool:
        return True


class Ramp:
    """Adds calls step by step and measures each step."""

    def __init__(self, url: str, gateway_api: str, pid: int):
        self._url = url
        self._gateway = psutil.Process(pid)
        self._client = api.LiveKitAPI(gateway_api, KEY, SECRET, failover=False)
        self._exchange = Exchange()
        self._speakers = Speakers(self._exchange)
        self._rooms: list[rtc.Room] = []

    async def measure(self) -> list[dict[str, Any]]:
        """The figures of every step."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self._exchange, ("127.0.0.1", 0))
        tap = AudioTap(_Deaf())
        self._speakers.start()
        found = []
        try:
            for step in STEPS:
                while len(self._rooms) < step:
                    await self._add()
                found.append(await self._window(step))
        finally:
            await self._finish()
            tap.close()
        return found

    async def _add(self) -> None:
        name = f"bench-{secrets.token_hex(4)}"
        room = rtc.Room()
        token = api.AccessToken(KEY, SECRET).with_identity("tone")
        token = token.with_grants(api.VideoGrants(room_join=True, room=name))
        await room.connect(self._url, token.to_jwt(), rtc.RoomOptions(auto_subscribe=False))
        source = rtc.AudioSource(8000, 1, queue_size_ms=0)
        await room.local_participant.publish_track(
            rtc.LocalAudioTrack.create_audio_track("tone", source)
        )
        self._speakers.captures.append(Capture(source))
        self._rooms.append(room)
        request = proto.CreateSIPParticipantRequest(
            room_name=name, sip_call_to="1", sip_number="2", wait_until_answered=True
        )
        request.trunk.hostname = f"127.0.0.1:{self._exchange.port}"
        await self._client.sip.create_sip_participant(request)

    async def _window(self, step: int) -> dict[str, Any]:
        await asyncio.sleep(3.0)  # let the new calls' jitter buffers settle
        for line in self._exchange.lines.values():
            line.arrivals.clear()
        self._gateway.cpu_percent()
        psutil.cpu_percent()
        await asyncio.sleep(WINDOW_S)
        lines = list(self._exchange.lines.values())
        pauses = [line.worst_pause() for line in lines]
        holes = [line.worst_hole() for line in lines]
        bad = sum(p > GAP_S or h > GAP_S for p, h in zip(pauses, holes, strict=True))
        return {
            "calls": step,
            "bad": bad,
            "pause_ms": round(max(pauses) * 1000, 1),
            "hole_ms": round(max(holes) * 1000),
            "gateway_cpu": self._gateway.cpu_percent(),
            "machine_cpu": psutil.cpu_percent(),
            "rss_mb": round(self._gateway.memory_info().rss / 2**20),
            "load": round(os.getloadavg()[0], 2),
        }

    async def _finish(self) -> None:
        self._speakers.done.set()
        self._speakers.join(1)
        for room in self._rooms:
            await room.disconnect()
        for line in self._exchange.lines.values():
            asyncio.get_running_loop().remove_reader(line.sock)
            line.sock.close()
        self._exchange.transport.close()
        await self._client.aclose()


async def run() -> list[dict[str, Any]]:
    """The rows of the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        livekit, url = await asyncio.to_thread(start_livekit, Path(folder))
        try:
            plan = gateway_plan(url, Path(folder), OFFHOOK_LOG_LEVEL="WARNING")
            gateway = await asyncio.to_thread(plan.start, Path(folder) / "gateway.log")
            try:
                steps = await Ramp(url, plan.api, gateway.pid).measure()
            finally:
                await asyncio.to_thread(end, gateway)
        finally:
            await asyncio.to_thread(end, livekit)
    return rows(steps)


def carried(steps: list[dict[str, Any]]) -> int:
    """The last step before the first that failed: a lucky step above it proves nothing."""
    clean = itertools.takewhile(lambda step: step["bad"] == 0, steps)
    return max((step["calls"] for step in clean), default=0)


def rows(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is reported of the steps."""
    most = carried(steps)
    measure = "simultaneous calls carried without a gap over 40 ms"
    found = [_row(measure, most, "calls", most, WANTED)]
    for s in steps:
        at, calls = f"at {s['calls']} calls: ", s["calls"]
        found.append(_row(at + "calls with a gap over 40 ms", s["bad"], "calls", calls))
        found.append(_row(at + "longest pause between RTP packets", s["pause_ms"], "ms", calls))
        found.append(_row(at + "longest silence inside the tone", s["hole_ms"], "ms", calls))
        found.append(_row(at + "gateway CPU", s["gateway_cpu"], "% of one core", calls))
        found.append(_row(at + "machine CPU", s["machine_cpu"], "%", calls))
        found.append(_row(at + "load average of the machine", s["load"], "", calls))
        found.append(_row(at + "gateway memory", s["rss_mb"], "MiB", calls))
    return found


def _row(
    measure: str, value: float, unit: str, calls: int, goal: float | None = None
) -> dict[str, Any]:
    return {
        "id": "GW1",
        "measure": measure,
        "value": value,
        "unit": unit,
        "n": round(calls * WINDOW_S),  # seconds of call that were watched
        "peer": None,
        "peer_value": None,
        "ratio": None,
        "goal": None if goal is None else f"at least {goal:g}",
        "met": None if goal is None else value >= goal,
    }


def main() -> None:
    """Print the rows as a table."""
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    for row in asyncio.run(run()):
        goal = "" if row["goal"] is None else f"  (goal {row['goal']}, met: {row['met']})"
        print(f"{row['measure']:<55} {row['value']:>8} {row['unit']}{goal}")


if __name__ == "__main__":
    main()
