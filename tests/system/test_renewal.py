"""A worker that holds too much begins anew: no call is lost or refused, and it says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.platform import Platform, running, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

HANGS_UP, SILENCE = "+12025550111", "+12025550112"
WORN = "the worker is worn and begins anew"
TALK_S = 15
WORN_LIMIT_S, RENEWED_LIMIT_S = 30.0, 90.0


@pytest.mark.long
def test_a_worn_worker_begins_anew_while_others_call(tmp_path: Path) -> None:
    # Any call leaves more than this behind: what is made once.
    with running(tmp_path, {"OFFHOOK_WORKER_GROWTH_MB": "1"}) as platform:
        process = platform.supervisor.pid("agent")
        one_call(platform)
        (why, *_) = wait_for(lambda: told(platform, WORN), bool, WORN_LIMIT_S)
        # The worn worker takes this one, which it may not cut off.
        brief = {"name": "Brief", "prompt": "Be brief.", "max_call_duration_secs": TALK_S}
        long = platform.order(SILENCE, assistant=brief)
        platform.wait_call(long["id"], answered, 30.0)
        # The stand-in takes these, then the worker that began anew.
        wait_for(lambda: one_call(platform), lambda _: is_renewed(platform), RENEWED_LIMIT_S)
        one_call(platform)
        ended = platform.finished(long["id"])
        assert platform.supervisor.pid("agent") == process
        restarts = metric(platform, 'offhook_worker_restarts_total{reason="memory"}')
    assert (ended["calls_count"], ended["status"]) == (1, "completed")
    assert ended["last_call_attempt"]["end_reason"] == "max_duration"
    assert why["reason"] == "memory"
    assert why["memory_mb"] > why["memory_mb_at_start"]
    assert restarts >= 1


def one_call(platform: Platform) -> None:
    """Hold a short call: it is answered at its first try, and the person hangs up."""
    call = platform.finished(platform.order(HANGS_UP)["id"])
    attempt = call["last_call_attempt"]
    assert (call["status"], call["calls_count"]) == ("completed", 1), call
    assert (attempt["dial_error"], attempt["ended_by"]) == (None, "user"), call


def answered(call: dict[str, Any]) -> bool:
    return bool((call["last_call_attempt"] or {}).get("answered_at"))


def is_renewed(platform: Platform) -> bool:
    """Whether the first worker, its stand-in and the first one anew have registered."""
    return len(told(platform, "registered worker")) >= 3


def told(platform: Platform, what: str) -> list[dict[str, Any]]:
    """Return the worker's log lines of this text."""
    text = (platform.home.logs / "agent.log").read_text()
    lines = [json.loads(each) for each in text.splitlines() if each.startswith("{")]
    return [each for each in lines if each["msg"] == what]


def metric(platform: Platform, name: str) -> float:
    """Return a figure of the internal listener."""
    port = platform.home.ports["OFFHOOK_INTERNAL_PORT"]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
