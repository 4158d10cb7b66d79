"""A call order: the request to reach one number, and the states it passes through."""

from __future__ import annotations

from enum import StrEnum

from control_plane.domain.errors import IllegalTransition


class OrderStatus(StrEnum):
    """Where an order stands."""

    INITIALIZING = "initializing"  # accepted, its first decision not taken yet
    QUEUED_FOR_CALLING = "queued_for_calling"  # eligible now, waits for a slot or a ready agent
    SCHEDULED = "scheduled"  # waits for its next eligible instant
    CALLING = "calling"  # an attempt is live
    COMPLETED = "completed"  # nothing more will be tried; the last attempt says how it went
    CANCELLED = "cancelled"  # the owner withdrew it
    ERRORED = "errored"  # it cannot be carried out: bad number, configuration, expiry


_S = OrderStatus
_ENDS = frozenset({_S.COMPLETED, _S.CANCELLED, _S.ERRORED})

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.INITIALIZING: frozenset({_S.QUEUED_FOR_CALLING, _S.SCHEDULED, _S.CALLING}) | _ENDS,
    _S.QUEUED_FOR_CALLING: frozenset({_S.SCHEDULED, _S.CALLING}) | _ENDS,
    _S.SCHEDULED: frozenset({_S.QUEUED_FOR_CALLING, _S.CALLING}) | _ENDS,
    _S.CALLING: frozenset({_S.QUEUED_FOR_CALLING, _S.SCHEDULED}) | _ENDS,
    _S.COMPLETED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.ERRORED: frozenset(),
}

WAITING = frozenset({_S.INITIALIZING, _S.QUEUED_FOR_CALLING, _S.SCHEDULED})
"""An order in one of these has no live attempt."""


def is_final(status: OrderStatus) -> bool:
    """Return whether no status can follow."""
    return not TRANSITIONS[status]


def move(current: OrderStatus, to: OrderStatus) -> OrderStatus:
    """Return `to` when it may follow `current`; staying is always allowed.

    Raises:
        IllegalTransition: it may not.
    """
    if to is not current and to not in TRANSITIONS[current]:
        raise IllegalTransition(f"an order that is {current} cannot become {to}", field="status")
    return to
