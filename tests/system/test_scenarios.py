"""What a call that nobody answers becomes; what hanging up and cancelling do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.platform import Platform, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

BUSY, DECLINED, NO_ANSWER = "+12025550102", "+12025550103", "+12025550104"
UNKNOWN, DROPS = "+12025550106", "+12025550110"
HANGS_UP, KEYS = "+12025550111", "+12025550120"


@pytest.mark.parametrize(
    ("number", "dial_error", "status"),
    [
        (BUSY, "busy", "completed"),
        (DECLINED, "non_classified_error", "completed"),
        (UNKNOWN, "number_non_attributed", "errored"),
    ],
)
def test_a_refusal_has_its_dial_error(
    platform: Platform, number: str, dial_error: str, status: str
) -> None:
    call = platform.finished(platform.order(number)["id"])
    attempt = call["last_call_attempt"]
    assert (attempt["dial_error"], call["status"]) == (dial_error, status)
    assert attempt["answered_at"] is None
    assert attempt["transcript"] == []


def test_no_answer_is_cancelled_on_the_wire(platform: Platform) -> None:
    call = platform.finished(platform.order(NO_ANSWER)["id"], limit_s=120.0)
    assert call["last_call_attempt"]["dial_error"] == "no_answer"
    assert invites(platform, NO_ANSWER, "cancel") != []


def test_whoever_answers_and_hangs_up_at_once_has_answered(platform: Platform) -> None:
    acknowledged = len(invites(platform, DROPS, "ack"))
    orders = [platform.order(DROPS)["id"] for _ in range(4)]
    for order_id in orders:
        attempt = platform.finished(order_id)["last_call_attempt"]
        assert (attempt["status"], attempt["dial_error"]) == ("completed", None), attempt
        assert (attempt["ended_by"], attempt["end_reason"]) == ("user", None), attempt
        assert attempt["started_at"] <= attempt["answered_at"] <= attempt["ended_at"]
        events = platform.api.get(f"/call/{order_id}/events")["events"]
        told = [event["type"] for event in events if event["type"].startswith("call.")]
        assert told[-2:] == ["call.in_progress", "call.completed"]
    assert len(invites(platform, DROPS, "ack")) == acknowledged + len(orders)


def test_the_callee_hangs_up_in_the_middle_of_a_sentence(platform: Platform) -> None:
    call = platform.finished(platform.order(HANGS_UP)["id"])
    attempt = call["last_call_attempt"]
    assert attempt["ended_by"] == "user"
    assert attempt["answered_at"] is not None
    assert call["status"] == "completed"


def test_a_cancel_while_it_rings_reaches_the_phone_and_nobody_speaks(platform: Platform) -> None:
    rung_before = len(invites(platform, NO_ANSWER, "invite"))
    before = len(invites(platform, NO_ANSWER, "cancel"))
    order = platform.order(NO_ANSWER)
    rung = wait_for(
        lambda: len(invites(platform, NO_ANSWER, "invite")), lambda n: n > rung_before, 30.0
    )
    platform.api.post(f"/call/{order['id']}/cancel")
    call = platform.finished(order["id"], limit_s=20.0)
    assert call["status"] == "cancelled"
    wait_for(lambda: len(invites(platform, NO_ANSWER, "cancel")), lambda n: n > before, 5.0)
    assert call["last_call_attempt"]["transcript"] == []
    assert len(invites(platform, NO_ANSWER, "invite")) == rung


def test_a_cancel_before_the_dial_means_no_invite(platform: Platform) -> None:
    rung = len(invites(platform, NO_ANSWER, "invite"))
    order = platform.order(NO_ANSWER)
    platform.api.post(f"/call/{order['id']}/cancel")
    assert platform.finished(order["id"], limit_s=20.0)["status"] == "cancelled"
    platform.finished(platform.order(BUSY)["id"])  # a later order has been dialled by now
    assert len(invites(platform, NO_ANSWER, "invite")) == rung


def test_keys_pass_both_ways(platform: Platform) -> None:
    """The callee's keys reach the agent's events; the model's input names them."""
    call = platform.finished(platform.order(KEYS)["id"])
    events = platform.api.get(f"/call/{call['id']}/events")["events"]
    keys = [e["data"]["digit"] for e in events if e["type"] == "key_pressed"]
    assert "".join(keys) == "1234#"


def test_every_order_was_one_invite(platform: Platform) -> None:
    """Judged at the far end: INVITEs counted by Call-ID, digest repeats and retransmissions one."""
    order = platform.finished(platform.order(BUSY)["id"])
    assert order["calls_count"] == 1
    ids = [row["call_id"] for row in invites(platform, BUSY, "invite")]
    orders = platform.api.get("/call", number=BUSY)["calls"]
    assert len(set(ids)) == sum(order["calls_count"] for order in orders)


def invites(platform: Platform, number: str, event: str) -> list[dict[str, Any]]:
    """Return the simulator's log lines of one kind for one number."""
    return [row for row in platform.witness(event=event) if number in str(row.get("to", ""))]
