"""A public key stands in a page for all to see: from where it works, for whom, and how often."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlsplit

from control_plane.domain.errors import BadInput

WINDOW = timedelta(hours=1)
"""The time in which the uses of a key are counted: whichever hour ends now."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.?|\[[0-9a-f:.]+\]")


def origin_of(text: str, *, field: str) -> str:
    """Return an origin as browsers write it in their Origin header (RFC 6454 section 6.2).

    Raises:
        BadInput: it is none, or one to whose pages a browser gives no microphone.
    """
    found = _parsed(text)
    if found is None:
        raise BadInput(
            f"{field}: {text[:100]!r} is no origin: write the scheme, the host, and the port where "
            "it is not the usual one, such as https://www.example.com; a host of another script in "
            "its ASCII form (xn--…)",
            field=field,
        )
    scheme, host, _ = found
    if scheme == "http" and host not in _LOCAL:
        raise BadInput(
            f"{field}: browsers give the microphone to https:// pages only, except on localhost: "
            f"serve {host} over https and name that origin",
            field=field,
        )
    return _written(found)


def is_allowed(origin: str | None, allowed: Collection[str]) -> bool:
    """Return whether a request with this Origin header comes from an allowed page."""
    found = _parsed(origin) if origin is not None else None
    return found is not None and _written(found) in allowed


def _parsed(text: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or port == 0 or parts.path not in ("", "/"):
        return None
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    has_more = "@" in host or "?" in text or "#" in text
    if has_more or _HOST.fullmatch(host) is None:
        return None
    return parts.scheme, host, port or _PORTS[parts.scheme]


def _written(origin: tuple[str, str, int]) -> str:
    scheme, host, port = origin
    usual = port == _PORTS[scheme]
    return f"{scheme}://{host}" if usual else f"{scheme}://{host}:{port}"
