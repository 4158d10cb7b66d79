"""A scheduler frozen for longer than its leases, and thawed: its writes are refused (I1, I7)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from typing import Any

import pytest

from control_plane.domain.attempt import AttemptStatus
from tests.faults.asking import BUSY, NO_ANSWER, SILENCE, body, place
from tests.faults.judging import CLOCK_ERROR, invites, violations
from tests.faults.stage import Stage
from tests.system.platform import wait_for

FREEZE_S = float(os.environ.get("OFFHOOK_TEST_FREEZE_S", "16"))
LIMIT_S = 60.0
ON_ITS_WAY_S = 1.5
"""Shorter than a scheduler's own look at the clock before it dials: what waits here is not late."""
REFUSED = "an attempt was taken over by another process"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180 + FREEZE_S)]


def test_a_thawed_scheduler_finds_that_others_went_on(started: Stage) -> None:
    callers = started.callers(9)
    rows = [body(NO_ANSWER, each, attempts=2) for each in callers[:3]]
    rows += [body(scenario, each, stay=0.5) for each in callers[3:] for scenario in (BUSY, SILENCE)]
    with started.crew(1) as crew:
        [frozen] = crew.members
        ids = place(started, rows)
        wait_for(lambda: ringing(started, ids), lambda n: n >= 2, LIMIT_S)
        freeze(started, frozen, ids)
        began = time.monotonic()
        held = open_attempts(started, ids)
        crew.start()
        closed = wait_for(
            lambda: closed_attempts(started, ids), lambda seen: held <= seen.keys(), LIMIT_S
        )
        wait_for(time.monotonic, lambda now: now > began + FREEZE_S, FREEZE_S + LIMIT_S)
        frozen.send_signal(signal.SIGCONT)
        wait_for(lambda: REFUSED in crew.log_of(frozen), bool, LIMIT_S)
        started.finished_all(ids, LIMIT_S)
        started.quiet(LIMIT_S)
    assert violations(started, ids) == []
    after = closed_attempts(started, ids)
    assert {key: after[key] for key in closed} == closed


def freeze(stage: Stage, member: subprocess.Popen[bytes], ids: list[str]) -> None:
    """Stop a scheduler that holds no lock and whose INVITEs are out.

    SQLite would have nobody write meanwhile. And from the call of the dial to the request's first
    byte there is a moment in which a freeze goes unnoticed: only the SIP service could notice it.
    """
    while not (is_stopped_without_lock(stage, member) and are_dials_out(stage, ids)):
        member.send_signal(signal.SIGCONT)
        are_dials_out(stage, ids)  # it has the time to send them, on a busy machine too
        with stage.locked():  # it has come so far as to let go
            pass


def are_dials_out(stage: Stage, ids: list[str]) -> bool:
    """Return whether the far end has seen the INVITE of every dial that is under way."""
    ledger, deadline = stage.books.ledger(ids), time.monotonic() + ON_ITS_WAY_S
    while True:
        seen = invites(stage)
        missing = [
            attempt.id
            for order_id, order in ledger.orders.items()
            for attempt in ledger.attempts[order_id]
            if attempt.dialing_at is not None
            and attempt.closed_at is None
            and not any(
                row["t"] >= (attempt.dialing_at - CLOCK_ERROR).timestamp()
                for row in seen[order.from_phone_number or "", order.to_phone_number]
            )
        ]
        if not missing or time.monotonic() > deadline:
            return not missing


def is_stopped_without_lock(stage: Stage, member: subprocess.Popen[bytes]) -> bool:
    """Stop a scheduler; return whether others can write."""
    member.send_signal(signal.SIGSTOP)
    try:
        with stage.locked(patience_s=2.0):
            return True
    except sqlite3.OperationalError:
        return False


def ringing(stage: Stage, ids: list[str]) -> int:
    """Return how many attempts may have an INVITE on the wire."""
    attempts = stage.books.ledger(ids).every_attempt
    return sum(attempt.status is AttemptStatus.RINGING for attempt in attempts)


def open_attempts(stage: Stage, ids: list[str]) -> set[str]:
    """Return the attempts that are not closed."""
    attempts = stage.books.ledger(ids).every_attempt
    return {attempt.id for attempt in attempts if attempt.closed_at is None}


def closed_attempts(stage: Stage, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return what is written of each closed attempt, without what tidying adds."""
    attempts = stage.books.ledger(ids).every_attempt
    later = {"session.room_deleted_at", "session.last_event_seq"}
    return {
        attempt.id: {name: value for name, value in attempt.columns().items() if name not in later}
        for attempt in attempts
        if attempt.closed_at is not None
    }
