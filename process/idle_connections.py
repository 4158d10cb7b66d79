"""Connections kept between requests, by receiver, taken and given back without a search."""

from __future__ import annotations

from typing import Any

_MOST_IDLE = 64


class Origin:
    """The idle connections to one scheme, host and port, the last used at the end."""

    def __init__(self) -> None:
        self.idle: list[Any] = []
        self.used_at = 0.0

    async def pop(self) -> Any | None:
        """Return a connection that the other side still keeps open, if there is one."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def give_back(self, connection: Any) -> None:
        """Keep a connection whose answer was read to its end, and close any other."""
        if connection.is_idle() and len(self.idle) < _MOST_IDLE:
            self.idle.append(connection)
        else:
            await connection.aclose()

    async def aclose(self) -> None:
        """Close what is idle."""
        while self.idle:
            await self.idle.pop().aclose()
