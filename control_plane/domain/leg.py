"""A leg: one side of a conversation, such as the person who was called."""

from __future__ import annotations

from enum import StrEnum


class LegKind(StrEnum):
    """Who is at the other end."""

    CALLEE = "callee"  # the person whom an order calls
    CALLER = "caller"  # the person who called us
    BROWSER = "browser"  # the person who came by a browser
    HUMAN = "human"  # whom the person was passed on to
