"""When a call whose far end says nothing more is over; the clock is told."""

from __future__ import annotations

import math

FIRST_RTP_S = 30.0  # an answered phone that never sends (golden record, section 4)
LAST_RTP_S = 15.0  # a phone that stops sending
HOLD_S = 600.0


class LineWatch:
    """Judges one call's line.

    Args:
        media_timeout: seconds without RTP that the call was given; 0: ours.
        hold_timeout: seconds for which the far end may hold it, when RTP need not come.
    """

    def __init__(self, media_timeout: float, hold_timeout: float) -> None:
        self._media_timeout = media_timeout
        self._hold_timeout = hold_timeout
        self._turned = -math.inf
        self.is_on_hold = False

    def turn(self, on_hold: bool, now: float) -> None:
        """The far end holds the call, or is back."""
        self.is_on_hold, self._turned = on_hold, now

    def why_lost(self, now: float, *, ever: bool, quiet: float) -> str:
        """Why the call is to end; empty while it is not.

        Args:
            ever: whether RTP ever came; `quiet`: for how many seconds none has.
        """
        since_turn = now - self._turned
        if self.is_on_hold:
            over = since_turn >= self._hold_timeout
            return f"on hold for {since_turn:.0f} s" if over else ""
        quiet = min(quiet, since_turn)
        if quiet < (self._media_timeout or (LAST_RTP_S if ever else FIRST_RTP_S)):
            return ""
        if ever:
            return f"no RTP came for {quiet:.0f} s"
        return f"no RTP came within {quiet:.0f} s of the answer"
