"""What happened to an order, as its lifecycle is told: past tense, one struct per happening."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from control_plane.domain.dial_errors import DialFailureKind
from control_plane.domain.events import AttemptResult, EndedBy, EndReason
from control_plane.domain.gate import Never, Rule, Wait


class Fact(Struct, frozen=True, kw_only=True):
    """Something that happened at `at`, UTC."""

    at: datetime


class HeldBack(Fact, frozen=True, kw_only=True):
    """The gate said not yet; `until` is null when something has to change first."""

    until: datetime | None
    rule: Rule


class Forbidden(Fact, frozen=True, kw_only=True):
    """The gate said never."""

    rule: Rule


class Paused(Fact, frozen=True, kw_only=True):
    """The owner wants no further attempt for now."""


class Resumed(Fact, frozen=True, kw_only=True):
    """The owner wants the order to go on."""


class AttemptStarted(Fact, frozen=True, kw_only=True):
    """An attempt was claimed for the order; the agent is being prepared."""


class CallArrived(Fact, frozen=True, kw_only=True):
    """Somebody called us, and an agent asked who answers."""


class SessionAsked(Fact, frozen=True, kw_only=True):
    """Somebody asked for a browser session; its room opens when it is due.

    `without_value` names the variables of its assistant's texts that are left out.
    """

    without_value: tuple[str, ...] = ()


class AgentSent(Fact, frozen=True, kw_only=True):
    """A browser session's room is there, and an agent was asked into it."""


class AgentReleased(Fact, frozen=True, kw_only=True):
    """The agent of a browser session left, since nobody came; the session stays open."""


class DialStarted(Fact, frozen=True, kw_only=True):
    """The last gate was passed; from here on an INVITE may be on the wire."""


class AttemptAbandoned(Fact, frozen=True, kw_only=True):
    """The attempt was given up before any INVITE, for a reason of our own.

    `reason` is a word of `waiting.Cause` or `gate.Rule`; `detail` tells a person what to do. With
    `hopeless`, only a change of the configuration helps: the order is not tried again. `gate` is
    the last gate's answer, where that was the reason.
    """

    reason: str
    detail: str = ""
    hopeless: bool = False
    gate: Wait | Never | None = None


class DialFailed(Fact, frozen=True, kw_only=True):
    """The INVITE reached nobody."""

    kind: DialFailureKind
    sip_status: int | None = None
    sip_reason: str = ""


class DialAnswered(Fact, frozen=True, kw_only=True):
    """The person's side became active."""

    sip_call_id: str = ""


class ConversationEnded(Fact, frozen=True, kw_only=True):
    """The conversation is over; `end_reason` is null when the person hung up."""

    ended_by: EndedBy
    end_reason: EndReason | None
    result: AttemptResult
    detail: str = ""


class CancelRequested(Fact, frozen=True, kw_only=True):
    """The owner withdrew the order."""
