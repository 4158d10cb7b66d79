"""Whole calls on one machine with the offline stack: dialling, greeting, turns, hang-up, memory."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from livekit import api
from livekit.protocol import sip as proto

from bench import usage
from bench.rows import percentile
from speech.offline.voice import Speaker
from tests.system.far_end import FarEnd, phone, render
from tests.system.platform import Platform, running, wait_for
from tests.system.test_conversation import ASKED, CALLEE, number_at

BUSY, SILENCE = "+12025550102", "+12025550112"
DIALS, GREETINGS, CONVERSATIONS, LIVE = 40, 104, 6, 6
GREETING_DELAY_MS = 400
PARTS = ("livekit", "gateway", "control-plane", "agent", "scheduler")

Rows = list[dict[str, Any]]


async def run() -> Rows:
    """Return the rows; takes about nine minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Start an Offhook, measure it, stop it."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data") as platform:
        speaker = Speaker.load()
        idle = {part: memory_mb(platform, part) for part in PARTS}
        rows = dialling(platform)
        rows += talking(platform, speaker, Path(folder))
        rows += memory(platform, idle)
    return rows


def dialling(platform: Platform) -> Rows:
    """POST to INVITE, against an agent's join plus a direct dial in the same run."""
    platform.finished(platform.order(BUSY)["id"])  # the first one warms connections up
    whole, joins, direct = [], [], []
    for _ in range(DIALS):
        seen = len(invites(platform))
        began = time.time()
        order = platform.order(BUSY)
        arrived = wait_for(lambda n=seen: invites(platform)[n:], bool, 20.0)[0]["t"]
        whole.append((arrived - began) * 1000)
        platform.finished(order["id"])
        joins.append(join_ms(platform, order["id"]))
        direct.append(asyncio.run(dial_directly(platform)))
    floor = statistics.median(joins) + statistics.median(direct)
    median = statistics.median(whole)
    return [
        row("B9", "POST /call force_now → INVITE, p50", median, "ms", DIALS, goal="≤ 400 ms")
        | {"met": median <= 400},
        row("B9r", "the same against agent join + direct dial", median, "ms", DIALS)
        | {"peer": "agent join + direct CreateSIPParticipant", "peer_value": round(floor, 1)}
        | {"ratio": round(median / floor, 3), "goal": "≤ 1.5×", "met": median <= 1.5 * floor},
        row("B9p", "POST /call force_now → INVITE, p95", percentile(whole, 0.95), "ms", DIALS),
    ]


def talking(platform: Platform, speaker: Speaker, folder: Path) -> Rows:
    """Answer to greeting, end of speech to reply, hang-up to final state."""
    greetings, turns, ends = [], [], []
    for index in range(GREETINGS):
        with called(platform, folder, [{"listen": 0.6}, {"hangup": True}]) as (far_end, order):
            far_end.wait("over", 60.0)
            answered = event(far_end, "state", state="CONFIRMED")["t"]
            spoke = event(far_end, "speech", what="begins")["t"]
            greetings.append((spoke - answered) * 1000 - GREETING_DELAY_MS)
            hung_up = event(far_end, "hung up")["t"]
            platform.finished(order)
            if index:  # the first one pays for connections
                ends.append((completed_at(platform, order) - hung_up) * 1000)
    lines = [render(speaker, folder, line) for line in ASKED[:2]]
    script: list[dict[str, Any]] = [{"listen": 0.8}]
    for line in lines * 2:
        script += [{"say": line}, {"listen": 0.8}]
    for _ in range(CONVERSATIONS):
        with called(platform, folder, [*script, {"hangup": True}]) as (far_end, order):
            far_end.wait("over", 90.0)
            turns += reply_delays_ms(far_end)
            platform.finished(order)
    late = percentile(greetings, 0.95)
    return [
        row("B6", "answer → first agent sound, beyond first_sentence_delay_ms, p95", late, "ms",
            len(greetings), goal="≤ 300 ms") | {"met": late <= 300},
        row("OFF1", "end of caller's speech → agent's first sound, offline stack, p50",
            statistics.median(turns), "ms", len(turns)),
        row("OFF1p", "the same, p95", percentile(turns, 0.95), "ms", len(turns)),
        row("B23", "BYE → final state committed, p99", percentile(ends, 0.99), "ms", len(ends),
            goal="≤ 300 ms") | {"met": percentile(ends, 0.99) <= 300},
    ]  # fmt: skip


def memory(platform: Platform, idle: dict[str, float]) -> Rows:
    """Proportional memory of each process, idle, and what a live call adds."""
    orders = [platform.order(SILENCE)["id"] for _ in range(LIVE)]
    for order in orders:
        platform.wait_call(order, is_answered, 60.0)
    busy = {part: memory_mb(platform, part) for part in PARTS}
    for order in orders:
        platform.api.post(f"/call/{order}/cancel")
        platform.finished(order)
    rows = [row("MEM", f"memory of {part}, idle (PSS)", idle[part], "MB", 1) for part in PARTS]
    added = {part: (busy[part] - idle[part]) / LIVE for part in ("livekit", "gateway", "agent")}
    rows += [
        row("MEMc", f"memory a live call adds in {p}", mb, "MB", LIVE) for p, mb in added.items()
    ]
    return rows


@contextmanager
def called(
    platform: Platform, folder: Path, script: list[dict[str, Any]]
) -> Iterator[tuple[FarEnd, str]]:
    """Call a phone that follows `script`; gives the phone and the order's id."""
    with phone(folder, script) as far_end:
        number = number_at(platform, "bench", far_end.port)
        yield far_end, platform.order(CALLEE, from_phone_number=number)["id"]


def reply_delays_ms(far_end: FarEnd) -> list[float]:
    """Return, for each thing said, how long the far end took to begin its reply."""
    delays, ended = [], None
    for seen in far_end.events:
        if seen["event"] == "said":
            ended = seen["ended"]
        elif seen["event"] == "speech" and seen["what"] == "begins" and ended is not None:
            delays.append((seen["t"] - ended) * 1000)
            ended = None
    return delays


def event(far_end: FarEnd, name: str, **facts: Any) -> dict[str, Any]:
    """Return the phone's first event of this name and these facts."""
    return next(e for e in far_end.events if e["event"] == name and facts.items() <= e.items())


def invites(platform: Platform) -> list[dict[str, Any]]:
    """Return the INVITEs that the simulator logged for the busy number."""
    return platform.witness(event="invite", to=BUSY)


def join_ms(platform: Platform, order: str) -> float:
    """Return how long the agent of a finished order took to be ready."""
    return (at(platform, order, "agent_ready") - at(platform, order, "call.initiating")) * 1000


def completed_at(platform: Platform, order: str) -> float:
    """Return when the final state was stored."""
    return at(platform, order, "call.completed")


def at(platform: Platform, order: str, kind: str) -> float:
    """Return the time of an order's event, in seconds since the epoch."""
    events = platform.api.get(f"/call/{order}/events")["events"]
    return datetime.fromisoformat(next(e["at"] for e in events if e["type"] == kind)).timestamp()


async def dial_directly(platform: Platform) -> float:
    """Return the ms from CreateSIPParticipant to its INVITE, without anything of ours."""
    key, secret = platform.home.livekit_keys()
    service = api.LiveKitAPI(platform.home.sip_api_url, key, secret)
    seen = len(invites(platform))
    try:
        trunks = await service.sip.list_outbound_trunk(proto.ListSIPOutboundTrunkRequest())
        trunk = next(t for t in trunks.items if t.address == platform.home.carrier_address)
        began = time.time()
        await service.sip.create_sip_participant(
            proto.CreateSIPParticipantRequest(
                sip_trunk_id=trunk.sip_trunk_id, sip_call_to=BUSY, room_name=f"direct-{seen}"
            )
        )
    finally:
        await service.aclose()
    arrived = await asyncio.to_thread(wait_for, lambda: invites(platform)[seen:], bool, 10.0)
    return float(arrived[0]["t"] - began) * 1000


def is_answered(call: dict[str, Any]) -> bool:
    """Return whether a call object shows an answered attempt."""
    return bool((call["last_call_attempt"] or {}).get("answered_at"))


def memory_mb(platform: Platform, part: str) -> float:
    """Return the proportional set size of a part and its children, in MB."""
    return usage.memory_mb(psutil.Process(platform.supervisor.pid(part)))


def row(
    id_: str, measure_: str, value: float, unit: str, n: int, *, goal: str | None = None
) -> dict[str, Any]:
    """Return a row without a peer."""
    return {
        "id": id_, "measure": measure_, "value": round(value, 1), "unit": unit, "n": n,
        "peer": None, "peer_value": None, "ratio": None, "goal": goal, "met": None,
    }  # fmt: skip
