"""How much of a stranger's message is read at all, and the numbers that it may carry."""

from __future__ import annotations

MAX_DATAGRAM = 8_192
"""Bytes of one datagram; the user agent behind the front reads no more either."""

MAX_HEADERS = 100
MAX_HEADER = 4_096
"""Characters of one header line, its continuations included."""

MAX_VIAS = 70
"""As many as a request that begins with 70 hops can gather (RFC 3261 8.1.1.6)."""

_MAX_DIGITS = 20  # leading zeros are allowed (RFC 4475 3.1.1.1), thousands of them are not


def number(text: str, *, most: int) -> int | None:
    """Return a decimal number from 0 to `most`; None for anything else, of any length."""
    if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value <= most else None
