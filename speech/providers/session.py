"""The one way of plugins to their providers that speak through aiohttp."""

from __future__ import annotations

import functools
import ssl
from typing import Any

from process.addresses import AddressRefused, Allowed
from process.guarded_connect import trusted_authorities
from process.safe_session import SafeSession


class Guarded:
    """Before a plugin's class among the bases: gives it a session of its own, and closes it."""

    def __init__(self, allowed: Allowed, **options: Any) -> None:
        self._guarded = SafeSession(allowed, authorities())
        super().__init__(http_session=self._guarded, **options)  # type: ignore[call-arg]

    @property
    def refused(self) -> AddressRefused | None:
        """The address that was not connected to, if there was one."""
        return self._guarded.refused

    async def aclose(self) -> None:
        try:
            await super().aclose()  # type: ignore[misc]
        finally:
            await self._guarded.close()


@functools.cache
def authorities() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than many an answer."""
    return trusted_authorities()
