"""An instant after which a dial must not be made any more, carried by the request itself.

Whoever asks for a dial may stand still (a frozen process, a stuck disk) before its request leaves;
somebody else may have dialled the order meanwhile. Only the service that sends the INVITE can tell.
LiveKit's own SIP service does not know the attribute and shows it on the participant.
"""

from __future__ import annotations

from collections.abc import Mapping

ATTRIBUTE = "offhook.dial_before"
TOO_LATE = "the dial came after its own deadline; nobody was called"


def attributes(dial_before: float | None) -> dict[str, str]:
    """Return what to put on the participant; `dial_before` in seconds since the epoch."""
    return {} if dial_before is None else {ATTRIBUTE: f"{dial_before:.3f}"}


def is_over(given: Mapping[str, str], now: float) -> bool:
    """Return whether the deadline among a participant's attributes has passed.

    Raises:
        ValueError: the attribute is no number.
    """
    return ATTRIBUTE in given and now > float(given[ATTRIBUTE])
