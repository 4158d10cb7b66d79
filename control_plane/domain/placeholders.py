"""`{{variable}}` placeholders: what a text names, and the text with values in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")


def names(text: str) -> list[str]:
    """Return the variables that `text` names, in order, with repetitions."""
    if "{{" not in text:
        return []
    found = (name.strip() for name in _PLACEHOLDER.findall(text))
    return [name for name in found if name]


def placeholder(name: str) -> str:
    """Return what a text writes for the variable; as its value, it leaves the text as it is."""
    return f"{{{{{name}}}}}"


def fill(text: str, values: Mapping[str, str], *, missing: str = "") -> str:
    """Return `text` with each placeholder replaced by its value, by `missing` without one."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1].strip(), missing), text)
