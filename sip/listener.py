"""An HTTP listener of the gateway or the simulator: what a connection may hold of it."""

from __future__ import annotations

import asyncio

from aiohttp import web

MAX_CONNECTIONS = 200
_MAX_LINE, _MAX_FIELD, _MAX_HEADERS = 2_048, 8_190, 32
IDLE_S = 30.0  # above the 15 s after which a client of aiohttp lets an idle connection go
_LINGER_S = 1.0  # for so long what was refused may still send its body
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\n"
    b"connection: close\r\n\r\n"
)


class Listener:
    """Serves an application, with limits on connections, headers and idle time."""

    def __init__(
        self, app: web.Application, *, most: int = MAX_CONNECTIONS, idle_s: float = IDLE_S
    ):
        # aiohttp counts the keep-alive time from the connection or the last answer to the end of
        # the next headers, whatever arrives meanwhile: it is the deadline of headers, too.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=0.2,
            keepalive_timeout=idle_s,
            lingering_time=_LINGER_S,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_HEADERS,
        )
        self._most = most
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to serve and return the port; raises OSError when it cannot be bound."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._protocol, host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        return server() if len(server.connections) < self._most else _Refusing()


class _Refusing(asyncio.Protocol):
    """Says that there are too many connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()
