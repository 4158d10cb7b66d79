"""Orders cancelled at random moments while they are dispatched: no INVITE after it (I1, I3)."""

from __future__ import annotations

import time

import httpx
import pytest
from msgspec import Struct

from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.call_order import OrderStatus
from tests.faults.asking import BUSY, NO_ANSWER, SILENCE, body, place, seeded
from tests.faults.judging import invites, violations
from tests.faults.stage import Stage

ORDERS = 20
LIMIT_S = 90.0
STEPS = (2, 3, 3, 3, 4, 4, 5)
"""Happenings of an order before its cancel: placed, claimed, agent ready, marked, answered."""
WAITING = 5
"""The last orders, which still wait behind the trunk's limit: cancelled before their claim."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


class Acknowledged(Struct, frozen=True):
    """What a cancel was answered, and when the answer was there."""

    status: str
    at: float


def test_no_invite_follows_an_acknowledged_cancel(started: Stage) -> None:
    chance = seeded()
    callers = started.callers(ORDERS)
    rows = [
        body(chance.choice((BUSY, NO_ANSWER, SILENCE, SILENCE)), caller, attempts=2, stay=30.0)
        for caller in callers
    ]
    with started.crew(2) as crew:
        crew.wait_alive(crew.members[0])
        ids = place(started, rows)
        steps = {key: chance.choice(STEPS) for key in ids[:-WAITING]}
        answers = cancel_each(started, steps | dict.fromkeys(ids[-WAITING:], 1))
        started.finished_all(ids, LIMIT_S)
        started.quiet(LIMIT_S)
    assert violations(started, ids) == []
    assert late_invites(started, answers) == []
    statuses = [answer.status for answer in answers.values()]
    assert {"cancelled", "calling"} <= set(statuses), "the race was not met"


def cancel_each(stage: Stage, steps: dict[str, int]) -> dict[str, Acknowledged]:
    """Cancel each order once so many things have happened to it; returns the answers."""
    left, answers = dict(steps), {}
    deadline = time.monotonic() + LIMIT_S
    with stage.client() as http:
        while left:
            assert time.monotonic() < deadline, f"never came so far: {left}"
            orders = stage.books.ledger(left.keys()).orders
            due = [key for key, order in orders.items() if order.event_count >= left[key]]
            for key in due:
                answer = http.post(f"/call/{key}/cancel")
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    continue  # "busy: try again", on a machine with other tests
                del left[key]
                ended = answer.status_code == 409
                status = "ended" if ended else answer.raise_for_status().json()["call"]["status"]
                answers[key] = Acknowledged(status, time.time())
    return answers


def late_invites(stage: Stage, answers: dict[str, Acknowledged]) -> list[str]:
    """Return the INVITEs that followed a cancel which said that none would."""
    ledger, seen, wrong = stage.books.ledger(answers.keys()), invites(stage), []
    for key, order in ledger.orders.items():
        if answers[key].status == "ended":
            continue
        rang = seen.get((order.from_phone_number or "", order.to_phone_number), [])
        asked = order.cancel_requested_at
        assert asked is not None
        attempts = ledger.attempts[key]
        marks = [a.dialing_at for a in attempts if a.dialing_at is not None]
        wrong += [f"{key}: marked after its cancel" for mark in marks if mark > asked]
        if answers[key].status == OrderStatus.CANCELLED:
            at = answers[key].at
            wrong += [f"{key}: an INVITE {r['t'] - at:.3f} s after it" for r in rang if r["t"] > at]
        if order.status is not OrderStatus.CANCELLED:
            wrong.append(f"{key}: acknowledged {answers[key].status}, then {order.status}")
        wrong += [f"{key}: a call goes on" for a in attempts if a.status is AttemptStatus.ONGOING]
    return wrong
