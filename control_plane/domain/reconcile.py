"""What is to be done about an attempt, given what its room shows."""

from __future__ import annotations

from msgspec import Struct

from control_plane.domain.attempt import AttemptStatus
from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import EndReason
from control_plane.domain.waiting import Cause

ACTIVE = frozenset({"active", "automation", "hangup"})
"""The SIP service's words for a call that was answered."""


class Seen(Struct, frozen=True, kw_only=True):
    """A live attempt that no scheduler is dialling, and its room.

    Attributes:
        agent_silent: the call's lease has lapsed.
        agent_mute: it lapsed a while ago, and the API would have taken events all the time: only
            livekit-server, which shows the dead for some twenty seconds, still sees the agent.
        agent_ended: the agent has said its last word.
        phone_status: the SIP service's word for the person's call, None when they are not there.
        phone_missing_before: they were not there at the look before this one either.
        overdue: the call is past its own limit, and its agent did not end it.
    """

    status: AttemptStatus
    inbound: bool = False
    in_browser: bool = False
    agent_in_room: bool = False
    agent_silent: bool = False
    agent_mute: bool = False
    agent_ended: bool = False
    phone_status: str | None = None
    phone_missing_before: bool = False
    overdue: bool = False


class Leave(Struct, frozen=True):
    """Nothing."""


class Renew(Struct, frozen=True):
    """The agent is there: its silence is not its death."""


class MarkAnswered(Struct, frozen=True):
    """The call was answered, and whoever dialled it did not live to write that down."""


class Abandon(Struct, frozen=True):
    """Nothing was on the wire: the order goes on."""

    reason: str


class Fail(Struct, frozen=True):
    """The dial reached nobody, as far as anybody can tell."""

    kind: DialFailureKind


class End(Struct, frozen=True):
    """The conversation is over."""

    reason: EndReason


Verdict = Leave | Renew | MarkAnswered | Abandon | Fail | End


def judge(seen: Seen) -> Verdict:
    """Return what is to be done; the first rule that fits."""
    if seen.in_browser and seen.status is not AttemptStatus.ONGOING:
        return Leave()  # who sends its agents looks after it (`browser.judge`)
    if seen.status is AttemptStatus.QUEUED:
        return Abandon(Cause.SCHEDULER_LOST)
    if seen.status is AttemptStatus.ONGOING:
        return _ongoing(seen)
    if seen.inbound:
        return _ringing_inbound(seen)
    if seen.phone_status is None:
        reason = DialFailureKind.RING_TIMEOUT if seen.agent_ended else None
        return Fail(reason or DialFailureKind.OUTCOME_UNKNOWN)
    return MarkAnswered() if seen.phone_status in ACTIVE else Leave()


def _ongoing(seen: Seen) -> Verdict:
    if seen.overdue:
        return End(EndReason.MAX_DURATION)
    if _agent_is_dead(seen):
        return End(EndReason.AGENT_LOST)
    if seen.in_browser:  # a person who lost the connection may be back, and its agent waits
        return Renew() if seen.agent_silent else Leave()
    if seen.phone_status is None and seen.phone_missing_before:
        # An agent that lives reports a hang-up within moments, long before the second look.
        return End(EndReason.SIP_SERVICE_LOST)
    return Renew() if seen.agent_silent else Leave()


def _ringing_inbound(seen: Seen) -> Verdict:
    if _agent_is_dead(seen):
        return End(EndReason.AGENT_LOST)
    return Renew() if seen.agent_silent else Leave()


def _agent_is_dead(seen: Seen) -> bool:
    return seen.agent_silent and (seen.agent_mute or not seen.agent_in_room)
