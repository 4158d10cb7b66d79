"""An attempt: one INVITE at most, from the claim to the last word."""

from __future__ import annotations

from enum import StrEnum

from control_plane.domain.errors import IllegalTransition


class AttemptStatus(StrEnum):
    """Where an attempt stands."""

    QUEUED = "queued"  # room and agent are being prepared; nothing is on the wire
    RINGING = "ringing"  # the INVITE may be on the wire
    ONGOING = "ongoing"  # answered
    COMPLETED = "completed"  # answered, and over
    ERROR = "error"  # never answered; `dial_error` or `end_reason` says why


_S = AttemptStatus

TRANSITIONS: dict[AttemptStatus, frozenset[AttemptStatus]] = {
    _S.QUEUED: frozenset({_S.RINGING, _S.ERROR}),
    _S.RINGING: frozenset({_S.ONGOING, _S.ERROR}),
    _S.ONGOING: frozenset({_S.COMPLETED}),
    _S.COMPLETED: frozenset(),
    _S.ERROR: frozenset(),
}

LIVE = frozenset({_S.QUEUED, _S.RINGING, _S.ONGOING})


def move(current: AttemptStatus, to: AttemptStatus) -> AttemptStatus:
    """Return `to` when it may follow `current`; staying is always allowed.

    Raises:
        IllegalTransition: it may not.
    """
    if to is not current and to not in TRANSITIONS[current]:
        raise IllegalTransition(f"an attempt that is {current} cannot become {to}", field="status")
    return to


def room_name(attempt_id: str) -> str:
    """Return the LiveKit room of an outbound attempt, the same every time it is asked for."""
    return f"call-{attempt_id}"


def participant_identity(attempt_id: str) -> str:
    """Return the identity that the called person gets in the attempt's room."""
    return f"phone-{attempt_id}"
