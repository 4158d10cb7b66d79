"""Fixtures of the SIP contract: a LiveKit with a SIP service, a phone, a room to watch.

With OFFHOOK_TEST_LIVEKIT_URL and its four siblings set, the suite runs against what they name;
otherwise livekit-server and the embedded gateway are started on free ports.

Machine time: a fifth of a core, when it is wanted: both cores may be busy with what is nice to it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import sip as proto

from process.gc_tuning import tune_gc
from tests.contract.sip.peer import Phone
from tests.contract.sip.watcher import Watcher
from tests.free_ports import area, block

ROOT = Path(__file__).resolve().parents[3]
Admit = Callable[..., Awaitable[tuple[str, str, str]]]
KEY, SECRET = "devkey", "a-secret-of-at-least-32-characters-xx"


@dataclass(frozen=True)
class Target:
    """What the suite talks to."""

    livekit_url: str
    sip_api: str
    sip_address: tuple[str, int]
    key: str
    secret: str
    embedded: bool
    data: Path | None = None  # the embedded gateway's data folder


@pytest.fixture(scope="session", autouse=True)
def steady() -> None:
    """Phones and watchers live in this process, which holds much by now: it must not stall."""
    tune_gc()


def livekit_server() -> Path:
    """The livekit-server binary for the suite."""
    return Path.home() / ".cache/offhook/livekit-server/1.13.5/livekit-server"


def wait_http(url: str, process: subprocess.Popen[bytes], limit: float = 20.0) -> None:
    """Wait until a URL answers 200 or its process has ended."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)  # the only way to watch another process's port
    raise AssertionError(f"{url} did not answer within {limit} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """End one process that this suite started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


@dataclass(frozen=True)
class GatewayPlan:
    """How to start a gateway: its environment, and where it can then be found."""

    environment: dict[str, str]
    api: str
    sip: tuple[str, int]

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "sip.gateway"],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdout=out,
                stderr=out,
            )
        wait_http(f"{self.api}/healthz", process)
        return process


def _media_of_each() -> Iterator[int]:
    """Yield where the RTP of a gateway begins: the suite's first, then one test's at a time."""
    first = area()
    yield first
    while True:
        yield first + 400


_media = _media_of_each()


def gateway_plan(livekit_url: str, data: Path, **more: str) -> GatewayPlan:
    # A SIP stack may take the port above its own for TLS.
    api_port = block(4)
    sip_port, ua_port = api_port + 1, api_port + 2
    first = next(_media)
    return GatewayPlan(
        {
            "LIVEKIT_URL": livekit_url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "OFFHOOK_SIP_API_PORT": str(api_port),
            "OFFHOOK_SIP_PORT": str(sip_port),
            "OFFHOOK_SIP_UA_PORT": str(ua_port),
            "OFFHOOK_RTP_PORT_MIN": str(first),
            "OFFHOOK_RTP_PORT_MAX": str(first + 399),
            "OFFHOOK_DATA": str(data),
            **more,
        },
        f"http://127.0.0.1:{api_port}",
        ("127.0.0.1", sip_port),
    )


def start_livekit(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    http = block(3)
    tcp, udp = http + 1, http + 2
    config = folder / "livekit.yaml"
    config.write_text(
        f"port: {http}\nbind_addresses: ['127.0.0.1']\n"
        f"rtc: {{tcp_port: {tcp}, udp_port: {udp}, use_external_ip: false, "
        "enable_loopback_candidate: true}\n"
        f"keys: {{{KEY}: {SECRET}}}\nlogging: {{level: warn}}\n"
    )
    return run_livekit(config, http), f"ws://127.0.0.1:{http}"


def run_livekit(config: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a livekit-server with this configuration, which names this port."""
    with config.with_name("livekit.log").open("ab") as out:
        process = subprocess.Popen(
            [str(livekit_server()), "--config", str(config)], stdout=out, stderr=out
        )
    wait_http(f"http://127.0.0.1:{port}/", process)
    return process


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    names = ("LIVEKIT_URL", "SIP_API", "SIP_ADDRESS", "KEY", "SECRET")
    given = [os.environ.get(f"OFFHOOK_TEST_{name}", "") for name in names]
    if all(given):
        host, _, port = given[2].rpartition(":")
        yield Target(given[0], given[1], (host, int(port)), given[3], given[4], embedded=False)
        return
    if not livekit_server().exists():
        pytest.skip(f"{livekit_server()} is not there: run `python -m offhook setup`")
    folder = tmp_path_factory.mktemp("contract")
    livekit, url = start_livekit(folder)
    try:
        plan = gateway_plan(url, folder, OFFHOOK_LOG_LEVEL="DEBUG")
        gateway = plan.start(folder / "gateway.log")
        try:
            yield Target(url, plan.api, plan.sip, KEY, SECRET, embedded=True, data=folder)
        finally:
            end(gateway)
    finally:
        end(livekit)


@pytest.fixture
async def lk(target: Target) -> AsyncIterator[api.LiveKitAPI]:
    """LiveKit's own API: rooms, participants."""
    client = api.LiveKitAPI(target.livekit_url, target.key, target.secret)
    yield client
    await client.aclose()


@pytest.fixture
async def sip(target: Target) -> AsyncIterator[api.SipService]:
    """The SIP API under test."""
    client = api.LiveKitAPI(target.sip_api, target.key, target.secret, failover=False)
    yield client.sip
    await client.aclose()


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    device = Phone()
    await device.start()
    yield device
    await device.stop()


@pytest.fixture
def room_name() -> str:
    return f"room-{secrets.token_hex(5)}"


@pytest.fixture
async def watcher(target: Target, room_name: str) -> AsyncIterator[Watcher]:
    """Somebody in the room who notes all that happens; publishes nothing until told to."""
    other = Watcher(target.livekit_url, target.key, target.secret, room_name)
    await other.join()
    yield other
    await other.leave()


@pytest.fixture
async def trunk(sip: api.SipService, phone: Phone) -> AsyncIterator[str]:
    """An outbound trunk to the phone."""
    made = await sip.create_outbound_trunk(
        api.CreateSIPOutboundTrunkRequest(
            trunk=api.SIPOutboundTrunkInfo(
                name="contract", address=phone.address, numbers=["+15550100"]
            )
        )
    )
    yield made.sip_trunk_id
    await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=made.sip_trunk_id))


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task[object]]]:
    """Tasks of a test, ended with it."""
    started: list[asyncio.Task[object]] = []
    yield started
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)


@pytest.fixture
def number() -> str:
    return f"+1777{secrets.randbelow(10**7):07d}"


@pytest.fixture
async def admit(sip: api.SipService, number: str, room_name: str) -> AsyncIterator[Admit]:
    """Make a trunk for `number` and a rule to the watched room; both go with the test."""
    trunks: list[str] = []
    rules: list[str] = []

    async def make(rule: dict[str, object] | None = None, **trunk: object) -> tuple[str, str, str]:
        info = proto.SIPInboundTrunkInfo(
            numbers=[number],
            **trunk,  # type: ignore[arg-type]
        )
        made = await sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
        trunks.append(made.sip_trunk_id)
        direct = proto.SIPDispatchRuleDirect(room_name=room_name)
        fields: dict[str, object] = {"rule": proto.SIPDispatchRule(dispatch_rule_direct=direct)}
        info2 = proto.SIPDispatchRuleInfo(
            trunk_ids=[made.sip_trunk_id],
            **{**fields, **(rule or {})},  # type: ignore[arg-type]
        )
        kept = await sip.create_dispatch_rule(api.CreateSIPDispatchRuleRequest(dispatch_rule=info2))
        rules.append(kept.sip_dispatch_rule_id)
        return number, made.sip_trunk_id, kept.sip_dispatch_rule_id

    yield make
    for rule_id in rules:
        await sip.delete_dispatch_rule(
            api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule_id)
        )
    for trunk_id in trunks:
        await sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=trunk_id))
