"""A worker or a gateway that is killed in a call: the person is let go, the books are closed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.far_end import phone
from tests.system.platform import Platform, wait_for
from tests.system.test_conversation import CALLEE, number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SILENCE = "+12025550112"
BYE_LIMIT_S = 20.0
CLOSED_LIMIT_S = 20.0
RESTART_LIMIT_S = 5.0


def live(platform: Platform, **order: Any) -> dict[str, Any]:
    """Return an order whose call is answered and greeted."""
    number = order.pop("number", SILENCE)
    placed = platform.order(number, **order)
    return platform.wait_call(
        placed["id"], lambda c: bool((c["last_call_attempt"] or {}).get("answered_at")), 40.0
    )


def test_a_killed_worker_lets_the_caller_go(platform: Platform, folder: Path) -> None:
    with phone(folder, [{"stay": 60}]) as far_end:
        number = number_at(platform, "worker", far_end.port)
        call = live(platform, number=CALLEE, from_phone_number=number)
        killed = time.time()
        os.kill(platform.supervisor.pid("agent"), signal.SIGKILL)
        gone = far_end.wait("state", 40.0, state="DISCONNECTED")
    assert gone["t"] - killed < BYE_LIMIT_S
    closed = platform.finished(call["id"], limit_s=CLOSED_LIMIT_S)
    attempt = closed["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("system", "agent_lost")
    ready(platform)


def test_a_killed_gateway_is_back_and_its_calls_are_closed(platform: Platform) -> None:
    call = live(platform)
    old = platform.supervisor.pid("gateway")
    killed = time.monotonic()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: healthy(f"{platform.home.sip_api_url}/healthz"), bool, RESTART_LIMIT_S)
    assert platform.supervisor.pid("gateway") != old
    closed = platform.finished(call["id"], limit_s=CLOSED_LIMIT_S)
    assert time.monotonic() - killed < CLOSED_LIMIT_S
    attempt = closed["last_call_attempt"]
    assert (attempt["ended_by"], attempt["end_reason"]) == ("system", "sip_service_lost")
    ready(platform)


def test_nothing_is_dialled_without_a_ready_agent(platform: Platform) -> None:
    """No worker: the order waits and says why; with the worker back it is dialled, once."""
    process = platform.supervisor.pid("agent")
    os.kill(process, signal.SIGSTOP)
    try:
        order = platform.order("+12025550102")
        waiting = platform.wait_call(
            order["id"], lambda c: c["waiting_for"] == "agent_not_ready", 60.0
        )
        assert waiting["status"] in ("queued_for_calling", "scheduled")
        assert waiting["calls_count"] == 0
    finally:
        os.kill(process, signal.SIGCONT)
    done = platform.finished(order["id"], limit_s=90.0)
    assert done["last_call_attempt"]["dial_error"] == "busy"
    assert done["calls_count"] == 1
    ready(platform)


def healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def ready(platform: Platform) -> None:
    """Leave the platform as it was found."""
    wait_for(lambda: healthy(f"{platform.home.api_url}/health/ready"), bool, 60.0)
