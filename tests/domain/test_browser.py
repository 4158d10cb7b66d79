"""What a browser session is called, and what an open one needs."""

from __future__ import annotations

import msgspec
import pytest

from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.browser import (
    AskAgain,
    GiveUp,
    SendAgent,
    SessionStatus,
    Stay,
    Waiting,
    in_browser,
    judge,
    status_of,
)
from control_plane.domain.waiting import Cause
from tests import factories

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (AttemptStatus.QUEUED, None, SessionStatus.CREATED),
        (AttemptStatus.RINGING, None, SessionStatus.WAITING),
        (AttemptStatus.ONGOING, None, SessionStatus.IN_PROGRESS),
        (AttemptStatus.COMPLETED, "cancelled", SessionStatus.COMPLETED),
        (AttemptStatus.ERROR, "cancelled", SessionStatus.CANCELLED),
        (AttemptStatus.ERROR, "nobody_joined", SessionStatus.FAILED),
        (AttemptStatus.ERROR, None, SessionStatus.FAILED),
    ],
)
def test_its_status(status: AttemptStatus, reason: str | None, told: SessionStatus) -> None:
    assert status_of(status, reason) is told


SENT = Waiting()
DEAD = Waiting(agent_reported=True)
ALONE = Waiting(agent_reported=True, agent_left=True)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (SENT, Stay()),
        (Waiting(agent_unheard=True), AskAgain()),
        (Waiting(agent_unheard=True, agent_reports=True, agent_reported=True), Stay()),
        (Waiting(agent_late=True), GiveUp(Cause.AGENT_NOT_READY)),
        (Waiting(agent_late=True, agent_unheard=True), GiveUp(Cause.AGENT_NOT_READY)),
        (Waiting(agent_late=True, agent_reports=True, agent_reported=True), Stay()),
        (Waiting(agent_reported=True, agent_there=True), Stay()),
        (DEAD, SendAgent()),
        (Waiting(agent_reported=True, agent_late=True, token_over=True), SendAgent()),
        (ALONE, Stay()),
        (Waiting(agent_left=True, person_there=True), SendAgent()),
        (Waiting(agent_left=True, person_there=True, token_over=True), SendAgent()),
        (Waiting(agent_left=True, token_over=True), GiveUp(Cause.NOBODY_JOINED)),
    ],
)
def test_what_an_open_session_needs(seen: Waiting, verdict: object) -> None:
    assert judge(seen) == verdict


def test_what_an_assistant_says_nothing_of_is_a_browsers_own() -> None:
    spec = factories.spec()
    assert spec.first_sentence_delay_ms is None
    kept = in_browser(spec, max_duration_secs=None, is_recorded=None)
    assert (kept.first_sentence_delay_ms, kept.max_call_duration_secs) == (0, 600)
    assert kept.recording_enabled
    said = msgspec.structs.replace(spec, first_sentence_delay_ms=400)
    said = in_browser(said, max_duration_secs=None, is_recorded=None)
    assert said.first_sentence_delay_ms == 400
    own = in_browser(spec, max_duration_secs=20, is_recorded=False)
    assert (own.max_call_duration_secs, own.recording_enabled) == (20, False)
