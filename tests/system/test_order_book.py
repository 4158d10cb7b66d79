"""The order book's rules on real calls, judged by the simulator's own log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

BUSY, DROPS, TALKS_LONG = "+12025550102", "+12025550110", "+12025550113"


def invites(platform: Platform, number: str) -> list[dict[str, Any]]:
    return [row for row in platform.witness(event="invite") if number in str(row.get("to", ""))]


def test_a_second_attempt_follows_at_once_where_it_is_wanted(platform: Platform) -> None:
    before = len(invites(platform, BUSY))
    config = {"call_twice_in_a_row": True, "max_retry_attempts": 2, **always()}
    call = platform.finished(platform.order(BUSY, call_retry_config=config)["id"])
    assert [attempt["dial_error"] for attempt in call["call_attempts"]] == ["busy", "busy"]
    assert (call["status"], call["calls_count"]) == ("completed", 2)
    assert len(invites(platform, BUSY)) == before + 2


@pytest.mark.shows("call_retry_config")
@pytest.mark.long
def test_a_retry_waits_for_its_delay_and_says_so(platform: Platform) -> None:
    config = {"max_retry_attempts": 2, **always(retry_delay_seconds=3_600)}
    order = platform.order(BUSY, call_retry_config=config)
    call = platform.wait_call(order["id"], lambda c: c["waiting_for"] == "retry_delay", 60.0)
    ended = datetime.fromisoformat(call["last_call_attempt"]["ended_at"])
    assert call["status"] == "scheduled"
    assert datetime.fromisoformat(call["next_at"]) - ended == timedelta(hours=1)
    decisions = platform.api.get(f"/call/{order['id']}/explain")["decisions"]
    assert [step["decision"] for step in decisions][-2:] == ["attempt_closed", "held_back"]
    platform.api.post(f"/call/{order['id']}/cancel")


@pytest.mark.shows("call_retry_config")
def test_a_closed_window_means_no_invite(platform: Platform) -> None:
    before = len(invites(platform, DROPS))
    utc = datetime.fromisoformat(platform.order(BUSY)["created_at"])
    shut = (
        (utc - timedelta(hours=2)).strftime("%H:%M"),
        (utc - timedelta(hours=1)).strftime("%H:%M"),
    )
    window = {"calling_window_start_time": shut[0], "calling_window_end_time": shut[1]}
    config = {**always(), "calling_windows": [window], "timezone": "UTC"}
    order = platform.order(DROPS, force_now=False, call_retry_config=config)
    assert (order["status"], order["waiting_for"]) == ("scheduled", "calling_windows")
    later = platform.finished(platform.order(BUSY)["id"])  # the scheduler went on meanwhile
    assert later["status"] == "completed"
    assert len(invites(platform, DROPS)) == before
    platform.api.post(f"/call/{order['id']}/cancel")


def test_one_slot_is_one_call_at_a_time(platform: Platform) -> None:
    slot = {"key": "one line", "max": 1}
    first = platform.order(TALKS_LONG, concurrency=slot)
    platform.wait_call(first["id"], lambda c: c["calls_count"] == 1, 60.0)
    second = platform.order(BUSY, concurrency=slot)
    platform.wait_call(second["id"], lambda c: c["waiting_for"] == "concurrency", 30.0)
    platform.api.post(f"/call/{first['id']}/cancel")
    platform.finished(first["id"])
    call = platform.finished(second["id"])
    assert call["last_call_attempt"]["dial_error"] == "busy"
    ended = platform.call(first["id"])["last_call_attempt"]["ended_at"]
    assert call["last_call_attempt"]["started_at"] >= ended


def test_fifty_requests_with_one_key_are_one_call(platform: Platform) -> None:
    before = len(invites(platform, BUSY))
    body = {
        "phone_number": BUSY,
        "force_now": True,
        "call_retry_config": {"max_retry_attempts": 1},
    }
    key = platform.home.credentials()["api_key"]
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"fifty-{before}"}

    def send(_number: int) -> httpx.Response:
        url = f"{platform.home.api_url}/call"
        return httpx.post(url, json=body, headers=headers, timeout=15.0, trust_env=False)

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(send, range(50)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    [order_id] = {a.json()["call"]["id"] for a in answers if a.status_code == httpx.codes.OK}
    platform.finished(order_id)
    wait_for(lambda: len(invites(platform, BUSY)), lambda n: n > before, 10.0)
    assert len(invites(platform, BUSY)) == before + 1


def always(**window: Any) -> dict[str, Any]:
    """Return settings that allow calls at any hour."""
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    times = {"calling_window_start_time": "00:00", "calling_window_end_time": "24:00"}
    return {"allowed_days": list(days), "calling_windows": [{**times, **window}]}
