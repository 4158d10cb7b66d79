"""What is shown instead of a secret."""

from __future__ import annotations

MASK = "****"
_HINT = 4


def mask(hint: str) -> str:
    """Return what is shown instead of a secret."""
    return MASK + hint


def looks_masked(value: str) -> bool:
    """Return whether `value` has the form of a mask."""
    return value.startswith(MASK) and len(value) <= len(MASK) + _HINT


def hint_of(clear: str) -> str:
    """Return the last characters, but never a noticeable part of a short secret."""
    return clear[-_HINT:] if len(clear) >= 4 * _HINT else ""
