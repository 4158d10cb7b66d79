"""What is shown instead of a secret, and of an address whose path or query may be one."""

from __future__ import annotations

import re
from urllib.parse import unquote

from msgspec import Struct

from control_plane.domain.placeholders import names, placeholder

MASK = "****"
_HINT = 4
_PARTS = re.compile(r"(?P<origin>[a-z][a-z0-9+.-]*://[^/?#\\]*)(?P<rest>.*)", re.DOTALL | re.I)
_SEALED = re.compile(
    r"sealed:(?P<ciphertext>[A-Za-z0-9_=-]+)(?P<names>(?:\{\{[^{}]+\}\})*) (?P<shown>.*)", re.DOTALL
)
_BETWEEN = re.compile(r"[/?&=#;,]")
_SHORTEST_SECRET = 8


def mask(hint: str) -> str:
    """Return what is shown instead of a secret."""
    return MASK + hint


def looks_masked(value: str) -> bool:
    """Return whether `value` has the form of a mask."""
    return value.startswith(MASK) and len(value) <= len(MASK) + _HINT


def hint_of(clear: str) -> str:
    """Return the last characters, but never a noticeable part of a short secret."""
    return clear[-_HINT:] if len(clear) >= 4 * _HINT else ""


class SealedUrl(Struct, frozen=True, omit_defaults=True):
    """An address as rows hold it; its text is what a column or a spec keeps.

    Attributes:
        shown: its scheme, host and port in clear, the rest masked.
        ciphertext: what a vault makes the whole address of.
        names: the variables that it names.
    """

    shown: str
    ciphertext: str
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> SealedUrl | None:
        """Return the address that `text` keeps; None: it is not sealed."""
        found = _SEALED.fullmatch(text)
        if found is None:
            return None
        return cls(found["shown"], found["ciphertext"], tuple(names(found["names"])))

    def __str__(self) -> str:
        return f"sealed:{self.ciphertext}{''.join(map(placeholder, self.names))} {self.shown}"


def shown_url(url: str) -> str:
    """Return what is shown instead of an address: all of one without a path or a query.

    What is shown already stays as it is.
    """
    origin, rest = _parted(url)
    if origin and (rest in ("", "/") or looks_masked_url(url)):
        return url
    return f"{origin}/{mask(hint_of(_BETWEEN.split(rest)[-1]))}"


def looks_masked_url(url: str) -> bool:
    """Return whether `url` has the form in which an address is shown."""
    _, rest = _parted(url)
    return rest.startswith("/") and looks_masked(rest[1:])


def without_target(text: str, url: str) -> str:
    """Return what a server said with masks for the parts of `url` that it cites from its path."""
    for each in secret_parts(url):
        text = text.replace(each, MASK)
    return text


def secret_parts(url: str) -> list[str]:
    """Return what of the path and the query of `url` may keep others out, the longest first."""
    _, rest = _parted(url)
    parts = {rest, rest.partition("?")[0], *_BETWEEN.split(rest)}
    cited = {each for part in parts for each in (part, unquote(part))}
    # What is shorter keeps nobody out, and may be any word.
    long = [each for each in cited if len(each) >= _SHORTEST_SECRET]
    return sorted(long, key=len, reverse=True)


def _parted(url: str) -> tuple[str, str]:
    found = _PARTS.fullmatch(url)
    return (found["origin"], found["rest"]) if found is not None else ("", url)
