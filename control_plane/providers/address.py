"""The address of a provider that an organization chose: refused before a key is stored for it."""

from __future__ import annotations

import asyncio
import contextlib

from control_plane.domain.credentials import check_url_keeps_none
from control_plane.domain.errors import BadInput
from process.addresses import AddressRefused, Allowed, check_url
from process.guarded_connect import Resolver, look_up_checked, resolve_by_system

LOOK_UP_S = 2.0


async def check_address(
    url: str | None, allowed: Allowed, *, resolve: Resolver = resolve_by_system
) -> None:
    """Find out whether `url` may be reached, as far as can be told now.

    A name that is not known yet passes: every connection is checked when it is made.

    Raises:
        BadInput: it is neither public nor allowed, or carries a login.
    """
    if url is None:
        return
    check_url_keeps_none(url, field="api_url", remedy="give it as api_key")
    try:
        web = f"http{url.removeprefix('ws')}" if url.startswith("ws") else url
        parsed = check_url(web, allowed)
        host = parsed.raw_host.decode("ascii")
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(LOOK_UP_S):
                await look_up_checked(host, parsed.port or 443, allowed, resolve)
    except AddressRefused as exc:
        raise BadInput(f"api_url is not used: {exc}", field="api_url") from exc


def same_place(one: str | None, other: str | None) -> bool:
    """Return whether two addresses send a key to the same place."""
    return (one or "").rstrip("/") == (other or "").rstrip("/")
