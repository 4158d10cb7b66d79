"""What is measured side by side: Offhook, and peers on the same livekit-server and SIP gateway.

Each arm talks to provider servers of its own, so that they can be called at the same moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import psutil
from livekit import api
from livekit.protocol import sip as proto

from bench.peers.stock_agent import GREETING, NAME
from bench.rows import ROOT
from offhook.api_client import ApiProblem
from tests.free_ports import block
from tests.providers.servers import KEY, PORTS, ProviderServers, in_background
from tests.system.platform import Platform
from tests.system.test_conversation import CALLEE, number_at

OURS, STOCK, PIPECAT = "ours", "stock livekit-agents", "pipecat through a LiveKit room"
START_LIMIT_S = 90.0
DIAL_LIMIT_S = 60.0
GREETING_DELAY_MS = 400
"""What `ASSISTANT` waits after the answer; the peers are told nothing of the kind."""
ASSISTANT = {
    "name": "night desk",
    "prompt": "You are the night desk.",
    "first_sentence": GREETING,
    "first_sentence_mode": "static",
    "first_sentence_delay_ms": GREETING_DELAY_MS,
    "llm_model": {"type": "dedicated-instance", "name": "gpt-4.1"},
    "voice": {"provider": "cartesia", "id": "voice-a"},
    "stt": {"provider": "openai"},
}


class CallRefused(Exception):
    """An arm could not call; says why."""


class Arm(Protocol):
    """One of those measured."""

    name: str
    stubs: ProviderServers
    process: psutil.Process

    def dial(self, port: int) -> None:
        """Call the telephone at `port`; returns once dialled or answered, at the latest.

        Raises:
            CallRefused: it was not called, or did not answer.
        """


class Ours:
    """Offhook, by its API."""

    name = OURS

    def __init__(self, platform: Platform, stubs: ProviderServers) -> None:
        self.stubs = stubs
        self.process = psutil.Process(platform.supervisor.pid("agent"))
        self._platform = platform
        platform.use(stubs.access())

    def dial(self, port: int) -> None:
        """Place an order through a trunk to the telephone."""
        try:
            number = number_at(self._platform, "bench", port)
            self._platform.order(CALLEE, from_phone_number=number, assistant=ASSISTANT)
        except ApiProblem as problem:
            raise CallRefused(str(problem)) from problem


class Stock:
    """A livekit-agents worker; it is dispatched to a room, then the gateway dials from it."""

    name = STOCK

    def __init__(
        self, platform: Platform, stubs: ProviderServers, worker: subprocess.Popen[str]
    ) -> None:
        self.stubs = stubs
        self.process = psutil.Process(worker.pid)
        self._platform = platform

    def dial(self, port: int) -> None:
        """Send the agent to a new room, and dial."""
        asyncio.run(self._dial(port))

    async def _dial(self, port: int) -> None:
        room = f"stock-{port}-{time.monotonic_ns()}"
        service = livekit_at(self._platform, self._platform.home.livekit_url)
        try:
            await service.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name=NAME, room=room)
            )
        except api.TwirpError as problem:
            raise CallRefused(f"the agent was not dispatched: {problem!r}") from problem
        finally:
            await service.aclose()
        await dial_from(self._platform, room, port)


class Pipecat:
    """A pipecat process that joins rooms with its LiveKitTransport; the gateway dials from them."""

    name = PIPECAT

    def __init__(
        self, platform: Platform, stubs: ProviderServers, worker: subprocess.Popen[str], log: Path
    ) -> None:
        self.stubs = stubs
        self.process = psutil.Process(worker.pid)
        self._platform = platform
        self._worker = worker
        self._log = log

    def dial(self, port: int) -> None:
        """Have the bot in a new room, then dial: warm, as the other arms are."""
        room = f"pipecat-{port}-{time.monotonic_ns()}"
        key, secret = self._platform.home.livekit_keys()
        grants = api.VideoGrants(room_join=True, room=room)
        token = api.AccessToken(key, secret).with_identity("bot").with_grants(grants).to_jwt()
        assert self._worker.stdin is not None
        self._worker.stdin.write(f"{room} {token}\n")
        self._worker.stdin.flush()
        wait_for_line(self._worker, self._log, f"joined {room}")
        asyncio.run(dial_from(self._platform, room, port))


@contextmanager
def arms(platform: Platform, folder: Path, *names: str) -> Iterator[list[Arm]]:
    """Start the arms of these names; a peer that is not installed is left out, and that is said."""
    with ExitStack() as stack:
        started: list[Arm] = []
        for name in names:
            if name == PIPECAT and pipecat_python() is None:
                print("  pipecat is not installed (make bench does it): two arms", flush=True)
                continue
            print(f"  starting {name}", flush=True)
            stubs = stack.enter_context(in_background(block(PORTS), tone=True))
            if name == OURS:
                started.append(Ours(platform, stubs))
            elif name == STOCK:
                started.append(stack.enter_context(_stock(platform, stubs, folder)))
            else:
                started.append(stack.enter_context(_pipecat(platform, stubs, folder)))
        yield started


@contextmanager
def _stock(platform: Platform, stubs: ProviderServers, folder: Path) -> Iterator[Arm]:
    log = folder / "stock.log"
    command = [sys.executable, "-m", "bench.peers.stock_agent", "start"]
    with worker(command, _environment(platform, stubs), log) as process:
        wait_for_line(process, log, "registered worker")
        yield Stock(platform, stubs, process)


@contextmanager
def _pipecat(platform: Platform, stubs: ProviderServers, folder: Path) -> Iterator[Arm]:
    log = folder / "pipecat.log"
    command = [str(pipecat_python()), str(ROOT / "bench" / "peers" / "pipecat_agent.py")]
    with worker(command, _environment(platform, stubs), log) as process:
        wait_for_line(process, log, "ready")
        yield Pipecat(platform, stubs, process, log)


@contextmanager
def worker(
    command: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run a peer's process, its output in `log`; ended by its own id, with its children."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=out,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        family = psutil.Process(process.pid)
        try:
            yield process
        finally:
            children = family.children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            for child in psutil.wait_procs(children, 5)[1]:
                child.kill()


def wait_for_line(process: subprocess.Popen[str], log: Path, text: str) -> None:
    """Return once `text` stands in the log.

    Raises:
        RuntimeError: the process ended, or it took too long; with the log.
    """
    deadline = time.monotonic() + START_LIMIT_S
    while text not in log.read_text():
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"no {text!r} within {START_LIMIT_S} s: {log.read_text()[-4000:]}")
        time.sleep(0.05)


def pipecat_python() -> Path | None:
    """Return the interpreter that has pipecat, in the folder that `make bench` made for it."""
    named = os.environ.get("OFFHOOK_BENCH_PIPECAT")
    python = Path(named) / "bin" / "python" if named else None
    return python if python is not None and python.exists() else None


def livekit_at(platform: Platform, url: str) -> api.LiveKitAPI:
    """Return a client of livekit-server, or of the gateway, at `url`."""
    return api.LiveKitAPI(url, *platform.home.livekit_keys())


async def dial_from(platform: Platform, room: str, port: int) -> None:
    """Let the gateway call the telephone at `port` from a room; returns once it has answered.

    Raises:
        CallRefused: it did not.
    """
    gateway = livekit_at(platform, platform.home.sip_api_url)
    try:
        async with asyncio.timeout(DIAL_LIMIT_S):
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
    except (api.TwirpError, TimeoutError) as problem:
        raise CallRefused(f"the gateway did not dial: {problem!r}") from problem
    finally:
        await gateway.aclose()


def side_by_side(work: list[threading.Thread], limit_s: float) -> None:
    """Run threads at once; returns when all are done.

    Raises:
        RuntimeError: one is not, within `limit_s`.
    """
    for thread in work:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in work:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise RuntimeError(f"{thread.name} was not done within {limit_s} s")


def _environment(platform: Platform, stubs: ProviderServers) -> dict[str, str]:
    key, secret = platform.home.livekit_keys()
    return {
        **os.environ,
        "LIVEKIT_URL": platform.home.livekit_url,
        "LIVEKIT_API_KEY": key,
        "LIVEKIT_API_SECRET": secret,
        "STUB_KEY": KEY,
        "STUB_OPENAI": stubs.openai_url,
        "STUB_CARTESIA": stubs.cartesia_url,
        "PYTHONUNBUFFERED": "1",
    }
