"""What may be decided about a SIP request before any user agent sees it."""

from __future__ import annotations

from dataclasses import dataclass

Address = tuple[str, int]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on to this address, with these headers added."""

    to: Address
    add_headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the request here with this status."""

    status: int
    reason: str
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Silent:
    """Do not answer at all."""


Verdict = Forward | Reply | Silent


def challenge(value: str, *, proxy: bool = True) -> Reply:
    """The verdict that asks for digest credentials; `value` comes from digest.Authority."""
    if proxy:
        return Reply(407, "Proxy Authentication Required", (("Proxy-Authenticate", value),))
    return Reply(401, "Unauthorized", (("WWW-Authenticate", value),))
