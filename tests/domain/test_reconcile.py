"""What is done about attempts whose owner fell silent."""

from __future__ import annotations

import pytest

from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import EndReason
from control_plane.domain.reconcile import (
    Abandon,
    End,
    Fail,
    Leave,
    MarkAnswered,
    Renew,
    Seen,
    judge,
)

pytestmark = pytest.mark.unit

Q, R, O = AttemptStatus.QUEUED, AttemptStatus.RINGING, AttemptStatus.ONGOING  # noqa: E741


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Seen(status=Q), Abandon("scheduler_lost")),
        (Seen(status=R), Fail(DialFailureKind.OUTCOME_UNKNOWN)),
        (Seen(status=R, agent_ended=True), Fail(DialFailureKind.RING_TIMEOUT)),
        (Seen(status=R, phone_status="ringing"), Leave()),
        (Seen(status=R, phone_status="active"), MarkAnswered()),
        (Seen(status=R, inbound=True, agent_silent=True), End(EndReason.AGENT_LOST)),
        (Seen(status=R, inbound=True, agent_silent=True, agent_in_room=True), Renew()),
        (Seen(status=R, inbound=True), Leave()),
        (Seen(status=O, phone_status="active", agent_in_room=True), Leave()),
        (Seen(status=O, phone_status="active", agent_in_room=True, agent_silent=True), Renew()),
        (
            Seen(
                status=O,
                phone_status="active",
                agent_in_room=True,
                agent_silent=True,
                agent_mute=True,
            ),
            End(EndReason.AGENT_LOST),
        ),
        (Seen(status=O, phone_status="active", agent_silent=True), End(EndReason.AGENT_LOST)),
        (Seen(status=O, agent_in_room=True), Leave()),
        (
            Seen(status=O, agent_in_room=True, phone_missing_before=True),
            End(EndReason.SIP_SERVICE_LOST),
        ),
        (
            Seen(status=O, phone_status="active", agent_in_room=True, overdue=True),
            End(EndReason.MAX_DURATION),
        ),
        (Seen(status=Q, in_browser=True), Leave()),
        (Seen(status=R, in_browser=True, agent_silent=True), Leave()),
        (Seen(status=O, in_browser=True, agent_in_room=True, phone_missing_before=True), Leave()),
        (Seen(status=O, in_browser=True, agent_in_room=True, agent_silent=True), Renew()),
        (Seen(status=O, in_browser=True, agent_silent=True), End(EndReason.AGENT_LOST)),
        (
            Seen(status=O, in_browser=True, agent_in_room=True, overdue=True),
            End(EndReason.MAX_DURATION),
        ),
    ],
)
def test_judge(seen: Seen, verdict: object) -> None:
    assert judge(seen) == verdict
