"""The gateway as a process: what survives it, how it ends, what it says when it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import sip as proto

from tests.contract.sip.conftest import ROOT, GatewayPlan, Target, end, gateway_plan
from tests.contract.sip.peer import Phone
from tests.contract.sip.watcher import Watcher
from tests.free_ports import block

pytestmark = pytest.mark.system


@pytest.fixture
def plan(target: Target, tmp_path: Path) -> GatewayPlan:
    if not target.embedded:
        pytest.skip("about the embedded gateway")
    return gateway_plan(target.livekit_url, tmp_path, OFFHOOK_SIP_MAX_CALLS="1")


@pytest.fixture
async def own(plan: GatewayPlan, target: Target) -> AsyncIterator[api.SipService]:
    client = api.LiveKitAPI(plan.api, target.key, target.secret, failover=False)
    yield client.sip
    await client.aclose()


def request(phone: Phone) -> proto.CreateSIPParticipantRequest:
    made = proto.CreateSIPParticipantRequest(
        room_name="own", sip_call_to="1", sip_number="2", wait_until_answered=True
    )
    made.trunk.hostname = phone.address
    return made


async def test_trunks_survive_a_kill(
    plan: GatewayPlan, own: api.SipService, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = await asyncio.to_thread(plan.start, log)
    info = proto.SIPInboundTrunkInfo(numbers=["+1"], auth_username="u", auth_password="p")
    made = await own.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
    process.kill()
    await asyncio.to_thread(process.wait)
    kept = tmp_path / "run" / "sip-gateway.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    process = await asyncio.to_thread(plan.start, log)
    try:
        found = await own.list_inbound_trunk(proto.ListSIPInboundTrunkRequest())
        assert list(found.items) == [made]
    finally:
        await asyncio.to_thread(end, process)
    assert process.returncode == 0


async def test_sigterm_hangs_up_within_three_seconds_and_the_cap_holds(
    plan: GatewayPlan, own: api.SipService, phone: Phone, tmp_path: Path
) -> None:
    process = await asyncio.to_thread(plan.start, tmp_path / "log")
    calling = asyncio.create_task(own.create_sip_participant(request(phone)))
    phone.answer(await phone.request("INVITE"))
    await calling
    with pytest.raises(api.TwirpError) as caught:
        await own.create_sip_participant(request(phone))
    assert (caught.value.code, caught.value.status) == ("unavailable", 503)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await phone.request("BYE")
    assert await asyncio.to_thread(process.wait, 5) == 0
    assert time.monotonic() - started < 3


async def test_a_call_lost_by_a_kill_is_told_after_the_restart(
    plan: GatewayPlan, own: api.SipService, target: Target, phone: Phone, tmp_path: Path
) -> None:
    watcher = Watcher(target.livekit_url, target.key, target.secret, "own")
    await watcher.join()
    process = await asyncio.to_thread(plan.start, tmp_path / "log")
    calling = asyncio.create_task(own.create_sip_participant(request(phone)))
    phone.answer(await phone.request("INVITE"))
    await calling
    await watcher.status("sip_1", "active")
    kept = tmp_path / "run" / "sip-calls.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "sip_1" in kept.read_text()
    process.kill()
    await asyncio.to_thread(process.wait)
    process = await asyncio.to_thread(plan.start, tmp_path / "log")
    try:
        left = await watcher.gone("sip_1", 5)
        lost = next(n for n in watcher.notes if n.detail.get("sip.lost") == "true")
        assert lost.at <= left.at
        assert watcher.statuses("sip_1")[-1] == "hangup"
        await asyncio.sleep(0.2)  # the file is written after the room has heard
        assert kept.read_text() == "{}"
        again = asyncio.create_task(own.create_sip_participant(request(phone)))
        talk = phone.answer(await phone.request("INVITE"))
        await again
        assert "sip_1" in kept.read_text()
        talk.send("BYE")
        await watcher.until(lambda: sum(n.what == "left" for n in watcher.notes) == 2)
    finally:
        await asyncio.to_thread(end, process)
        await watcher.leave()
    assert kept.read_text() == "{}"


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("OFFHOOK_SIP_PORT", socket.SOCK_DGRAM),
        ("OFFHOOK_SIP_UA_PORT", socket.SOCK_DGRAM),
        ("OFFHOOK_SIP_API_PORT", socket.SOCK_STREAM),
    ],
)
def test_a_busy_port_is_named(plan: GatewayPlan, setting: str, kind: int) -> None:
    port = block(1)
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        done = subprocess.run(
            [sys.executable, "-m", "sip.gateway"],
            cwd=ROOT,
            env={**os.environ, **plan.environment, setting: str(port)},
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
    assert done.returncode == 1
    assert setting in done.stderr
    assert str(port) in done.stderr
