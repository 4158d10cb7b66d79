"""What becomes of a phone's line during a call, told by attributes of its participant.

LiveKit's own SIP service tells none of it.
"""

from __future__ import annotations

from collections.abc import Mapping

_ON_HOLD = "offhook.onHold"
_LOST = "offhook.lineLost"


def on_hold(held: bool) -> dict[str, str]:
    """Return what to put on the participant while its far end holds the call, or no longer."""
    return {_ON_HOLD: "true" if held else ""}


def is_on_hold(given: Mapping[str, str]) -> bool:
    """Return whether the far end of a participant with these attributes holds the call."""
    return bool(given.get(_ON_HOLD))


def lost(why: str) -> dict[str, str]:
    """Return what to put on the participant when its call ends without a BYE of the far end."""
    return {_LOST: why}


def why_lost(given: Mapping[str, str]) -> str:
    """Return why a call ended without a BYE of its far end; empty where it did not."""
    return given.get(_LOST, "")
