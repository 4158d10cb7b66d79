"""What the try-it page can be told by the environment."""

from __future__ import annotations

from enum import StrEnum


class TryAccess(StrEnum):
    """Who may use the page."""

    LOOPBACK = "loopback"  # browsers on this machine
    OPEN = "open"  # whoever reaches the API
    OFF = "off"
