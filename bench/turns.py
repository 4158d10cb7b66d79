"""Turn taking as the far end hears it, beside a stock livekit-agents worker on the same stubs.

A telephone (an independent SIP stack) asks, is answered, interrupts, and pauses in the middle of
sentences. Both workers talk to the same provider servers, whose ears claim what was said at once
and whose voices give a tone. What is measured is what the telephone sent and heard.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from livekit import api
from livekit.protocol import sip as proto

from bench.calls import event, reply_delays_ms, row
from bench.peers.stock_agent import GREETING, NAME
from bench.rows import ROOT, percentile
from speech.offline.voice import Speaker
from tests.free_ports import block
from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule
from tests.providers.servers import KEY, PORTS, ProviderServers, in_background
from tests.system.far_end import RATE, FarEnd, phone, render
from tests.system.platform import Platform, running
from tests.system.test_conversation import CALLEE, number_at

QUIET, GAP = 300, 7  # of 32,768; frames of 20 ms without a sound that are an end
CALLS, TURNS = 5, 10  # calls an arm and cell, turns a call
QUESTION = "What are your opening hours?"
ANSWER = "We are open from nine to five."
LONG = "Let me tell you all about it. " * 12
STOP = "Please wait a moment."
PARTS = (  # a sentence with a pause inside
    ("I would like to book", "an appointment for tomorrow."),
    ("My name is", "Peter Miller."),
    ("Could you tell me if", "you are open on Sunday?"),
    ("I am calling because", "my tooth hurts."),
    ("I need to change the", "time of my appointment."),
)
PAUSES_S = (0.5, 0.7, 0.9, 1.0)
Rows = list[dict[str, Any]]


async def run() -> Rows:
    """Return the rows; takes about fifteen minutes."""
    return await asyncio.to_thread(measure)


def measure() -> Rows:
    """Start everything, measure both arms in turns, stop everything."""
    with (
        tempfile.TemporaryDirectory() as name,
        in_background(block(PORTS), tone=True) as stubs,
        running(Path(name) / "data", {"OFFHOOK_ALLOW_PRIVATE": "127.0.0.0/8"}) as platform,
        stock_worker(platform, stubs, Path(name)),
    ):
        bench = Bench(platform, stubs, Speaker.load(), Path(name))
        rows = bench.replies("B1", "no latency", Behaviour(), Behaviour())
        rows += bench.replies(
            "B3", "model 300 ms, voice 100 ms", Behaviour(latency_ms=300), Behaviour(latency_ms=100)
        )
        rows += bench.cut_offs()
        rows += bench.interruptions()
    return rows


class Bench:
    """The two arms and what they are asked."""

    def __init__(
        self, platform: Platform, stubs: ProviderServers, speaker: Speaker, folder: Path
    ) -> None:
        self._platform = platform
        self._stubs = stubs
        self._speaker = speaker
        self._folder = folder
        for provider, access in stubs.access().items():
            given = {"api_key": access.api_key, "api_url": access.api_url}
            platform.api.put(f"/provider/{provider.value}", given)

    def replies(self, id_: str, what: str, model: Behaviour, voice: Behaviour) -> Rows:
        """End of the caller's speech to the agent's first sound."""
        line = self._wav(QUESTION)
        script: list[dict[str, Any]] = [{"listen": 0.8}]
        script += [step for _ in range(TURNS) for step in ({"say": line}, {"listen": 0.8})]
        found: dict[str, list[float]] = {"ours": [], "stock": []}
        for _ in range(CALLS):
            for arm in found:
                self._prepare(Rule(say=ANSWER), heard=[QUESTION] * TURNS)
                self._stubs.controls.behave("openai.chat", model)
                self._stubs.controls.behave("cartesia.tts", voice)
                found[arm] += reply_delays_ms(self._call(arm, script))
        goal = 0.6 if id_ == "B1" else 0.7
        return compared(id_, f"end of speech → first sound, {what}", found, goal=goal)

    def interruptions(self) -> Rows:
        """The caller's first sound to the agent's last."""
        stop = self._wav(STOP)
        turn: list[dict[str, Any]] = [
            {"say": self._wav(QUESTION)}, {"hear": 5.0}, {"stay": 1.5}, {"say": stop},
            {"listen": 0.6},
        ]  # fmt: skip
        script = [{"listen": 0.8}, *turn * 5]
        found: dict[str, list[float]] = {"ours": [], "stock": []}
        for _ in range(CALLS):
            for arm in found:
                rule = (Rule(when="wait", say="Yes."), Rule(say=LONG))
                self._prepare(*rule, heard=[QUESTION, STOP] * 5)
                found[arm] += stops_ms(self._call(arm, script), stop)
        return compared("B5", "barge-in: first sound → the agent's last", found, goal=0.5)

    def cut_offs(self) -> Rows:
        """How often a pause inside a sentence is taken for its end."""
        found = {"ours": 0, "stock": 0}
        cases = [(*parts, pause) for pause in PAUSES_S for parts in PARTS]
        script: list[dict[str, Any]] = [{"listen": 0.8}]
        for first, second, pause in cases:
            script += [{"say": self._wav(first)}, {"stay": pause}, {"say": self._wav(second)}]
            script += [{"listen": 0.9}]
        heard = [text for first, second, _ in cases for text in (first, second)]
        for arm in found:
            self._prepare(Rule(say="Yes, of course."), heard=heard)
            found[arm] = cut_offs(self._call(arm, script), [self._wav(f) for f, *_ in cases])
        ours, stock = found["ours"], found["stock"]
        share = row(
            "B4", "pauses of 0.5–1.0 s inside a sentence taken for its end", ours, "", len(cases),
            goal="≤ 0.5×",
        )  # fmt: skip
        ratio = ours / stock if stock else None
        peer = {"peer": "stock livekit-agents", "peer_value": stock, "ratio": ratio}
        return [share | peer | {"met": ours <= stock / 2}]

    def _prepare(self, *rules: Rule, heard: list[str]) -> None:
        self._stubs.controls.reset()
        self._stubs.controls.rules(*rules)
        self._stubs.controls.hear("openai.stt", *heard)

    def _call(self, arm: str, script: list[dict[str, Any]]) -> FarEnd:
        with phone(self._folder, [*script, {"hangup": True}]) as far_end:
            if arm == "ours":
                number = number_at(self._platform, "turns", far_end.port)
                self._platform.order(CALLEE, from_phone_number=number, assistant=ASSISTANT)
            else:
                asyncio.run(dial_stock(self._platform, far_end.port))
            far_end.wait("over", 180.0)
            return far_end

    def _wav(self, text: str) -> str:
        return render(self._speaker, self._folder, text, trimmed=True)


ASSISTANT = {
    "name": "night desk",
    "prompt": "You are the night desk.",
    "first_sentence": GREETING,
    "first_sentence_mode": "static",
    "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
    "voice": {"provider": "cartesia", "id": "voice-a"},
    "ears": {"provider": "openai"},
}


@contextmanager
def stock_worker(platform: Platform, stubs: ProviderServers, folder: Path) -> Iterator[None]:
    """Run the peer beside our worker, on the same livekit-server."""
    key, secret = platform.home.livekit_keys()
    environment = {
        **os.environ,
        "LIVEKIT_URL": platform.home.livekit_url,
        "LIVEKIT_API_KEY": key,
        "LIVEKIT_API_SECRET": secret,
        "STUB_KEY": KEY,
        "STUB_OPENAI": stubs.openai_url,
        "STUB_CARTESIA": stubs.cartesia_url,
    }
    with (folder / "stock.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.stock_agent", "start"],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while "registered worker" not in Path(log.name).read_text():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


async def dial_stock(platform: Platform, port: int) -> None:
    """Call the telephone at `port`, for a stock agent in a room of its own."""
    key, secret = platform.home.livekit_keys()
    room = f"stock-{time.monotonic_ns()}"
    service = api.LiveKitAPI(platform.home.livekit_url, key, secret)
    gateway = api.LiveKitAPI(platform.home.sip_api_url, key, secret)
    try:
        await service.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=NAME, room=room)
        )
        await gateway.sip.create_sip_participant(
            proto.CreateSIPParticipantRequest(
                trunk=proto.SIPOutboundConfig(hostname=f"127.0.0.1:{port}"),
                sip_number="+12025550100",
                sip_call_to=CALLEE,
                room_name=room,
                participant_identity="phone",
                wait_until_answered=True,
            )
        )
    finally:
        await service.aclose()
        await gateway.aclose()


def stops_ms(far_end: FarEnd, stop: str) -> list[float]:
    """Return, for each interruption, how long the agent went on; not those it had ended before."""
    start = event(far_end, "connected")["t"]
    heard = far_end.heard()
    step = RATE // 50  # samples in 20 ms
    frames = np.abs(heard[: len(heard) // step * step].reshape(-1, step)).max(axis=1) > QUIET
    delays = []
    for seen in far_end.events:
        if seen["event"] == "said" and seen["file"] == stop:
            first = int((seen["began"] - start) * 50)
            gaps = (n for n in range(first, len(frames)) if not frames[n : n + GAP].any())
            last = next(gaps, None)
            if last is not None and frames[first : first + 3].any():
                delays.append((last - first) * 20.0)
    return delays


def cut_offs(far_end: FarEnd, firsts: list[str]) -> int:
    """Return after how many first parts the agent spoke before the second part was over."""
    count, waiting = 0, False
    for seen in far_end.events:
        if seen["event"] == "said":
            waiting = seen["file"] in firsts
        elif seen["event"] == "speech" and seen["what"] == "begins" and waiting:
            count, waiting = count + 1, False
    return count


def compared(id_: str, what: str, found: dict[str, list[float]], *, goal: float) -> Rows:
    """Return the rows of a measure: median beside the peer, and the tail."""
    ours, stock = found["ours"], found["stock"]
    median, peer = statistics.median(ours), statistics.median(stock)
    first = row(id_, f"{what}, p50", median, "ms", len(ours), goal=f"≤ {goal}×")
    beside = {"peer": "stock livekit-agents", "peer_value": round(peer, 1)}
    ratio = median / peer
    return [
        first | beside | {"ratio": round(ratio, 3), "met": ratio <= goal},
        row(f"{id_}p", f"{what}, p95", percentile(ours, 0.95), "ms", len(ours))
        | {"peer": beside["peer"], "peer_value": round(percentile(stock, 0.95), 1)},
    ]
