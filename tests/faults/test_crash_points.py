"""A kill at every named point of a scheduler's work (I1, I2, I4, I7)."""

from __future__ import annotations

import signal

import pytest

from process.crash_points import POINTS, VARIABLE
from tests.faults.asking import BUSY, DROPS, SILENCE, body, place
from tests.faults.judging import violations
from tests.faults.stage import Crew, Stage
from tests.system.platform import wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CANCEL = "before_cancel_commit"
DEATH_LIMIT_S = 60.0
FINISH_LIMIT_S = 120.0
HANDFUL = (BUSY, DROPS, SILENCE)


def test_a_kill_at_every_point(started: Stage) -> None:
    """A relay: each scheduler finds what the one before it left, and dies at the next point."""
    callers = started.callers(len(POINTS) + 1)
    ids: list[str] = []
    with started.crew(0) as crew:
        for point, caller in zip(POINTS, callers, strict=False):
            rows = [body(scenario, caller, attempts=2, stay=0.5) for scenario in HANDFUL]
            ids += place(started, rows)
            crew.start(**{VARIABLE: point})
            if point == CANCEL:
                ids.append(cancelled_when_answered(started, callers[-1]))
            assert death_of(crew) == -signal.SIGKILL, f"nobody passed {point}"
        crew.start()
        started.finished_all(ids, FINISH_LIMIT_S)
        started.quiet(FINISH_LIMIT_S)
    assert violations(started, ids) == []
    assert started.call(ids[-1])["status"] == "cancelled"


def cancelled_when_answered(stage: Stage, caller: str) -> str:
    """Return an order whose call is live and whose cancel is acknowledged."""
    [order_id] = place(stage, [body(SILENCE, caller, stay=60.0)])
    stage.wait_call(
        order_id, lambda c: bool((c["last_call_attempt"] or {}).get("answered_at")), DEATH_LIMIT_S
    )
    stage.api.post(f"/call/{order_id}/cancel")
    return order_id


def death_of(crew: Crew) -> int:
    """Return how the crew's only member ended."""
    [member] = crew.members
    code: int = wait_for(member.poll, lambda seen: seen is not None, DEATH_LIMIT_S)
    crew.members.remove(member)
    return code
