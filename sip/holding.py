"""A call whose sound is held: nobody in the room hears the phone, and the phone hears nobody.

It is asked for with the dial, by an attribute of the participant, and ends when that is taken off
it. A telephone can be answered before anybody has had the time to take a subscription away.
LiveKit's own SIP service does not know the attribute and holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

ATTRIBUTE = "offhook.held"
RELEASED = {ATTRIBUTE: ""}
"""To be set on the participant: an attribute without a value is none."""


def attributes(held: bool) -> dict[str, str]:
    """Return what to put on the participant."""
    return {ATTRIBUTE: "true"} if held else {}


def is_held(given: Mapping[str, str]) -> bool:
    """Return whether a participant with these attributes is held."""
    return bool(given.get(ATTRIBUTE))
