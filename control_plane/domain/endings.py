"""Which event tells of an order's end: one of them for each order, and its last."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from control_plane.domain.call_order import OrderStatus
from control_plane.domain.dial_errors import DialError

KINDS = ("call.completed", "call.no_answer", "call.failed", "call.cancelled")

_NOBODY_TOOK_IT = frozenset({DialError.NO_ANSWER, DialError.TEMPORARILY_UNAVAILABLE, None})
"""None: somebody called us, and went before anybody answered."""


class AttemptOutcome(Struct, frozen=True):
    """How one attempt went; `dial_error` null where the dial is not what failed."""

    answered: bool
    dial_error: DialError | None


def kind_of_end(status: OrderStatus, outcomes: Sequence[AttemptOutcome]) -> str:
    """Return the event of an order that ended as `status`.

    Args:
        outcomes: of its attempts, the last one first; asked for where it was completed.
    """
    match status:
        case OrderStatus.CANCELLED:
            return "call.cancelled"
        case OrderStatus.COMPLETED if any(each.answered for each in outcomes):
            return "call.completed"
        case OrderStatus.COMPLETED if outcomes and outcomes[0].dial_error in _NOBODY_TOOK_IT:
            return "call.no_answer"
        case _:
            return "call.failed"
