"""What only the model may know: it is left out of whatever is told to others."""

from __future__ import annotations

import re

HIDDEN = "****"
_FEWEST = 3
"""Fewer digits than this say nothing by themselves, and stand in every other sentence."""


class Masks:
    """Secrets of one call, and what stands in their place."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._forms: list[re.Pattern[str]] = []

    def add(self, keys: str, text: str, masked: str) -> None:
        """`keys` are a secret; `text`, which names them, is told as `masked`."""
        self._texts[text] = masked
        if len(keys) >= _FEWEST:
            spaced = r"[\s,.\-]*".join(re.escape(key) for key in keys)
            self._forms.append(re.compile(rf"(?<!\d){spaced}(?!\d)"))

    def applied(self, text: str) -> str:
        """Return `text` without what is secret in it."""
        for plain, masked in self._texts.items():
            text = text.replace(plain, masked)
        for form in self._forms:
            text = form.sub(HIDDEN, text)
        return text
